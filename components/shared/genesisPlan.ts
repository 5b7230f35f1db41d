import type { AddressPlan } from "./addressing.ts";
import type { DevicePlan } from "./devices.ts";
import type { Checked, Fault } from "./faults.ts";
import type { FirewallRulePlan } from "./firewallPlan.ts";
import type { GenesisSettings } from "./genesisSettings.ts";
import type { Machine } from "./machines.ts";
import type { MemoryPlan } from "./memory.ts";
import type { PinningPlan } from "./pinning.ts";
import type { SnapshotSchedule } from "./storagePlan.ts";
import { keeperOfGenesis, type KeeperPlan } from "./agent/keeperOfGenesis.ts";
import { planAddresses } from "./addressing.ts";
import { planDevices } from "./devices.ts";
import { planHostFirewall } from "./firewallPlan.ts";
import { planMachines } from "./machineOverrides.ts";
import { planMemory } from "./memory.ts";
import { planPinning } from "./pinning.ts";
import { checkSettings, endpointParts } from "./settingsChecks.ts";
import { planSnapshots } from "./storagePlan.ts";

/** Everything that stack `genesis` declares, before a resource exists. */
export interface GenesisPlan {
  /** By id; without devices that the host does not have. */
  readonly machines: readonly Machine[];
  readonly pins: PinningPlan;
  readonly addresses: AddressPlan;
  readonly memory: MemoryPlan;
  readonly devices: readonly DevicePlan[];
  readonly snapshots: readonly SnapshotSchedule[];
  readonly hostFirewall: readonly FirewallRulePlan[];
  /** The Keeper on both sides; undefined where the settings have no section for it. */
  readonly keeper?: KeeperPlan | undefined;
}

/** The machine without the devices that the host lacks. */
function without(machine: Machine, devices: GenesisSettings["devices"]): Machine {
  const there = (name: "gpu" | "tpu"): boolean => devices[name] !== undefined;
  return { ...machine, devices: machine.devices.filter(there), contends: machine.contends.filter(there) };
}

/** Runs every planner over the settings and returns the plan, or the faults of all of them, a property's first one only once. */
export function planGenesis(settings: GenesisSettings): Checked<GenesisPlan> {
  const estate = planMachines(settings);
  const machines = estate.machines.map((machine) => without(machine, settings.devices));
  const { host, networks, adminCidrs } = settings;
  const endpoint = endpointParts(settings.endpoint);
  const reserved = [endpoint?.host ?? "", settings.ssh.host];

  const pins = planPinning({ topology: host.topology, machines, reservedCores: host.reservedCores });
  const addresses = planAddresses({ networks, machines, reserved });
  const memory = planMemory({ machines, ramMiB: host.ramMiB, arcMiB: host.arcMiB, reservedMiB: host.reservedMiB });
  const devices = planDevices({ machines: estate.machines, devices: settings.devices });
  const hostFirewall = planHostFirewall({
    adminCidrs,
    dmzCidr: networks.dmz.cidr,
    apiPort: endpoint?.port ?? 8006,
    sshPort: settings.ssh.port,
  });
  const wrong = [...checkSettings(settings), ...estate.faults];
  if (wrong.length === 0 && pins.ok && addresses.ok && memory.ok && devices.ok && hostFirewall.ok) {
    const estate = {
      machines,
      pins: pins.value,
      addresses: addresses.value,
      memory: memory.value,
      devices: devices.value,
      snapshots: planSnapshots(settings.storage.redundant),
      hostFirewall: hostFirewall.value,
    };
    if (settings.keeper === undefined) return { ok: true, value: estate };
    const keeper = keeperOfGenesis(settings, settings.keeper, estate);
    return keeper.ok
      ? { ok: true, value: { ...estate, keeper: keeper.value } }
      : { ok: false, faults: distinct(keeper.faults) };
  }
  const faults = [pins, addresses, memory, devices, hostFirewall].flatMap((result) => (result.ok ? [] : result.faults));
  return { ok: false, faults: distinct([...wrong, ...faults]) };
}

/** Without repetitions of the same property and limit. */
function distinct(faults: readonly Fault[]): readonly Fault[] {
  const seen = new Set<string>();
  return faults.filter(({ property, limit }) => {
    const key = `${property}\n${limit}`;
    return seen.has(key) ? false : (seen.add(key), true);
  });
}
