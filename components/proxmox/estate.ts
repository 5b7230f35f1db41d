import type { NicPlan } from "../shared/addressing.ts";
import { formatCpuList } from "../shared/cpuList.ts";
import { planGuestFirewall } from "../shared/firewallPlan.ts";
import type { GenesisPlan } from "../shared/genesisPlan.ts";
import type { GenesisSettings } from "../shared/genesisSettings.ts";
import type { Machine } from "../shared/machines.ts";
import type { GenesisOutputs } from "../shared/outputs.ts";
import type { ProxmoxGuestArgs } from "./guestArgs.ts";
import type { HostArgs } from "./host.ts";
import type { HostStorageArgs } from "./hostStorage.ts";

/** What a guest's resource needs from other resources, left out of its plain arguments. */
type Flowing = "nodeName" | "storageId" | "image" | "vendorData" | "host";

/** One guest of the stack, ready to be declared. */
export interface GenesisGuest {
  /** Name of its component. */
  readonly name: string;
  readonly spec: Omit<ProxmoxGuestArgs, Flowing>;
  /** Image that its system disk is made from; none for Windows, which installs itself. */
  readonly image: "ubuntu" | "debian" | "alpine" | undefined;
}

function nicsOf(machine: Machine, plan: GenesisPlan): readonly NicPlan[] {
  return plan.addresses.nics.filter((nic) => nic.machine === machine.id);
}

function cpusOf(
  machine: Machine,
  plan: GenesisPlan,
): { readonly cpus: readonly number[]; readonly dedicated: boolean } {
  return plan.pins.guests.find((pins) => pins.id === machine.id) ?? { cpus: plan.pins.shared, dedicated: false };
}

/** Every guest of the plan in the order of the table, each with all of its plain arguments. */
export function genesisGuests(settings: GenesisSettings, plan: GenesisPlan): readonly GenesisGuest[] {
  const mappings = (machine: Machine, device: "gpu" | "tpu"): string[] =>
    plan.devices.filter((row) => row.device === device && row.owner === machine.id).map((row) => row.mapping);
  return plan.machines.map((machine) => {
    const windows = machine.os === "windows";
    return {
      name: machine.hostname,
      image: machine.os === "windows" ? undefined : machine.os,
      spec: {
        vmId: machine.id,
        hostname: machine.hostname,
        description: `${machine.title}.`,
        kind: machine.kind,
        role: machine.role,
        os: machine.os,
        vcpus: machine.vcpus,
        memory: machine.ramMiB,
        balloonMin: machine.balloonMinMiB,
        diskGiB: machine.diskGiB,
        cpuUnits: machine.cpuUnits,
        nics: nicsOf(machine, plan),
        ...(machine.kind === "vm" ? { affinity: formatCpuList(cpusOf(machine, plan).cpus) } : {}),
        hugepages: machine.hugepages,
        pci: mappings(machine, "gpu"),
        usb: mappings(machine, "tpu"),
        gpuContender: plan.devices.some((row) => row.device === "gpu" && row.contenders.includes(machine.id)),
        startupOrder: machine.startupOrder,
        onBoot: machine.onBoot,
        protect: machine.protect,
        agentTimeoutSec: settings.agentTimeoutSec,
        ...(windows && settings.images.windowsIso !== undefined ? { iso: settings.images.windowsIso } : {}),
        admin: settings.admin,
        dns: { domain: plan.addresses.domain, servers: plan.addresses.dnsServers },
        firewallRules: planGuestFirewall(machine, plan.addresses, settings.adminCidrs),
      },
    };
  });
}

/** The host as the settings describe it, for the policies. */
export function genesisHost(settings: GenesisSettings): HostArgs {
  const { topology, ramMiB, arcMiB, reservedMiB } = settings.host;
  const { lan, private: inner, dmz } = settings.networks;
  const bridges = { lan: lan.bridge, private: inner.bridge, dmz: dmz.bridge };
  return { topology, ramMiB, arcMiB, reservedMiB, bridges };
}

/** The guests' storage and its snapshots. */
export function genesisStorage(settings: GenesisSettings, plan: GenesisPlan): Omit<HostStorageArgs, "host"> {
  const { pool, dataset, id: storageId } = settings.storage;
  const snapshotGuests = plan.machines.filter(({ snapshots }) => snapshots).map(({ id }) => id);
  return { nodeName: settings.nodeName, pool, dataset, storageId, schedules: plan.snapshots, snapshotGuests };
}

/** What a guest waits for: the bridges of its cards and the mappings of its devices, and nothing else of the host. */
export function hostNeeds<T>(
  spec: GenesisGuest["spec"],
  bridges: Readonly<Record<string, T>>,
  mappings: Readonly<Record<string, T>>,
): readonly T[] {
  const wanted = [
    ...spec.nics.map(({ bridge }) => bridges[bridge]),
    ...[...(spec.pci ?? []), ...(spec.usb ?? [])].map((mapping) => mappings[mapping]),
  ];
  return wanted.filter((resource) => resource !== undefined);
}

/** What the stack exports: the machines as declared, for people and for the stacks that build on this one. */
export function genesisOutputs(settings: GenesisSettings, plan: GenesisPlan): GenesisOutputs {
  return {
    nodeName: settings.nodeName,
    networks: plan.addresses.networks.map(({ name, bridge, cidr, vlanId, gateway, mtu }) => ({
      name,
      bridge,
      cidr,
      vlanId,
      gateway,
      mtu,
    })),
    machines: plan.machines.map((machine) => {
      const { cpus, dedicated } = cpusOf(machine, plan);
      return {
        id: machine.id,
        hostname: machine.hostname,
        title: machine.title,
        kind: machine.kind,
        role: machine.role,
        vcpus: machine.vcpus,
        ramMiB: machine.ramMiB,
        cpus: formatCpuList(cpus),
        dedicated,
        addresses: nicsOf(machine, plan).map(({ network, bridge, vlanId, cidr, fqdn }) => ({
          network,
          bridge,
          vlanId,
          cidr,
          fqdn,
        })),
        devices: plan.devices.filter((row) => row.owner === machine.id).map((row) => row.mapping),
        protect: machine.protect,
      };
    }),
  };
}
