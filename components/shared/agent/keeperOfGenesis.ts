/**
 * The Keeper's two configurations, computed from the estate (design §5): the host side on the Proxmox host, the arbiter
 * in the VM that has the GPU, or on the host where no VM is given one. Addresses, cores, floors and mappings are the
 * plan's; nothing is typed twice.
 */
import { checked, fault } from "../check.ts";
import { formatCpuList } from "../cpuList.ts";
import type { Checked, Fault } from "../faults.ts";
import type { GenesisPlan } from "../genesisPlan.ts";
import type { GenesisSettings } from "../genesisSettings.ts";
import type { Machine } from "../machines.ts";
import { agentSecretFile, planAgent } from "./agentPlan.ts";
import type { AgentPlace } from "./agentPlace.ts";
import type { Release } from "./installScripts.ts";
import type { KeeperConfigInput } from "./keeperConfig.ts";
import { keeperProperty, type KeeperSettings } from "./keeperSettings.ts";
import { firmwareOf, watchdogSection } from "./watchdogOfGenesis.ts";

type Service = NonNullable<NonNullable<KeeperConfigInput["arbiter"]>["services"]>[number];

/** What one side's agent is installed with. */
interface KeeperSidePlan {
  readonly config: KeeperConfigInput;
  /** Names of the secrets that its configuration names files of. */
  readonly secretNames: readonly string[];
  /** Addresses that its unit may speak with beside those that it connects to. */
  readonly allow: readonly string[];
}

/** The VM that has the GPU, and the arbiter. */
interface KeeperVm {
  readonly vmid: number;
  /** Where it is reached by SSH, on the LAN. */
  readonly address: string;
  readonly hostKey?: string | undefined;
}

export interface KeeperPlan {
  readonly tarball: string;
  readonly release: Release;
  /** VM of the arbiter; undefined where it is on the host. */
  readonly vm: KeeperVm | undefined;
  /** Longest wait for a healthy agent, s. */
  readonly healthSec: number;
  readonly host: KeeperSidePlan;
  readonly arbiter: KeeperSidePlan;
  /** Firmware of the ESP32 for ESPHome, a YAML text without secrets; undefined where there is no watchdog. */
  readonly watchdogFirmware?: string | undefined;
}

/** Secrets of the Keeper by the names of their files. */
export const keeperSecretNames = {
  linkKey: "link.key",
  proxmoxToken: "proxmox.token",
  watchdogKey: "esp32.key",
} as const;

/** Port of the arbiter's link, on the private network or the host's loopback alone. */
const linkPort = 8741;
/** Proxmox's own API on the loopback: the token never leaves the host, and the node's certificate is valid for it. */
const proxmoxUrl = "https://127.0.0.1:8006";
const proxmoxCa = "/etc/pve/pve-root-ca.pem";

/**
 * Ranks 2 to 4 of seed `000_…` §3 as units of The Brain. VRAM is what each holds of the RTX 3090's 24 GB: an 8B Llama 3
 * at 4 bits with its cache, a small detector, SDXL at half precision. EVA so fits beside a frozen Muse, and is granted
 * before anything moves.
 */
const defaultServices: readonly Service[] = [
  {
    name: "eva",
    rank: 2,
    kind: "interactive",
    vram: "8 GB",
    unit: "eva.service",
    start: ["systemctl", "start", "eva.service"],
    tokenFile: "/etc/hive/eva.token",
  },
  {
    name: "sentinel",
    rank: 3,
    kind: "scan",
    vram: "2 GB",
    unit: "sentinel.service",
    start: ["systemctl", "start", "sentinel.service"],
  },
  {
    name: "muse",
    rank: 4,
    kind: "batch",
    vram: "12 GB",
    unit: "muse.service",
    start: ["systemctl", "start", "muse.service"],
  },
];

/** Only VMs with a balloon and room in it; a machine with a passed-through device has neither. */
function guestOf(machine: Machine, contenders: readonly number[]) {
  const balloons = machine.kind === "vm" && machine.balloonMinMiB < machine.ramMiB && machine.devices.length === 0;
  return {
    vmid: machine.id,
    role: machine.role,
    // Started first, stopped last.
    priority: machine.startupOrder,
    essential: machine.protect,
    gpuContender: contenders.includes(machine.id),
    ...(balloons ? { balloonMin: `${String(machine.balloonMinMiB)} MiB` } : {}),
  };
}

/** The cores of the machine that trades, which nobody else may have. */
function pinningOf({ machines, pins }: GenesisPlan) {
  const trading = machines.find(({ role, pinning }) => role === "trading" && pinning === "dedicated");
  const cpus = pins.guests.find(({ id, dedicated }) => dedicated && id === trading?.id)?.cpus;
  return trading === undefined || cpus === undefined
    ? {}
    : { pinning: { vmid: trading.id, cpus: formatCpuList(cpus), realtimePriority: 1 } };
}

/** Where the arbiter runs and listens, and who may come there. */
interface ArbiterGround {
  readonly vm: { readonly vmid: number; readonly address: string } | undefined;
  /** Address that it listens on. */
  readonly listen: string;
  /** Addresses beside the loopback that its unit may speak with. */
  readonly allow: readonly string[];
}

/** A card that the plan gives to no VM stays with the host, and so does the arbiter. Undefined: the VM is out of reach. */
function groundOf({ machines, devices, addresses }: Estate): ArbiterGround | undefined {
  const owner = devices.find(({ device }) => device === "gpu")?.owner;
  if (owner === undefined) return { vm: undefined, listen: "127.0.0.1", allow: [] };
  const addressOf = (network: string): string | undefined =>
    addresses.nics.find((nic) => nic.machine === owner && nic.network === network)?.address;
  const [lan, inner] = [addressOf("lan"), addressOf("private")];
  const host = addresses.networks.find(({ name }) => name === "private")?.hostAddress?.split("/")[0];
  const there = machines.some(({ id }) => id === owner);
  if (!there || lan === undefined || inner === undefined || host === undefined) return undefined;
  return { vm: { vmid: owner, address: lan }, listen: inner, allow: [host] };
}

type Estate = Omit<GenesisPlan, "keeper">;

/** Both sides of the Keeper, or every fault, properties as in the stack's settings (`keeper.services[0].vram`). */
export function keeperOfGenesis(
  settings: Omit<GenesisSettings, "keeper">,
  keeper: KeeperSettings,
  plan: Estate,
): Checked<KeeperPlan> {
  const ground = groundOf(plan);
  if (ground === undefined) {
    const limit = "an estate whose VM with the GPU is on the LAN and on the private network with the host";
    return { ok: false, faults: [fault("keeper", "given", limit, "Leave the section out.")] };
  }
  const { vm } = ground;
  const gpu = plan.devices.find(({ device, owner }) => device === "gpu" && owner !== undefined);
  const contenders = vm === undefined || gpu === undefined ? [] : [...new Set([vm.vmid, ...gpu.contenders])];
  const listen = `${ground.listen}:${String(linkPort)}`;
  const place = { besideHost: vm === undefined };
  const keyFile = (where: AgentPlace): string => agentSecretFile(keeperSecretNames.linkKey, where);
  const watchdogKey = agentSecretFile(keeperSecretNames.watchdogKey);
  const { services = [...defaultServices], muse, scan, thermal, power, fingerprint, watchdog, room } = keeper;
  // What is undefined is not written to the file.
  const common = { version: 1 as const, timeZone: keeper.timeZone, market: keeper.market };
  const trust = fingerprint === undefined ? { caFile: proxmoxCa } : { fingerprint };
  const host: KeeperSidePlan = {
    config: {
      ...common,
      side: "host",
      host: {
        proxmox: {
          url: proxmoxUrl,
          node: settings.nodeName,
          tokenFile: agentSecretFile(keeperSecretNames.proxmoxToken),
          ...trust,
        },
        guests: plan.machines.map((each) => guestOf(each, contenders)),
        link: { connect: listen, vmid: vm?.vmid ?? null, pskFile: keyFile({}) },
        ...pinningOf(plan),
        ...(watchdog === undefined ? {} : { watchdog: watchdogSection(watchdog, watchdogKey) }),
        ...(room === undefined ? {} : { room }),
        ...(gpu === undefined ? {} : { handoff: { enabled: contenders.length > 1, mapping: gpu.mapping } }),
      },
    },
    secretNames: [
      keeperSecretNames.linkKey,
      keeperSecretNames.proxmoxToken,
      ...(watchdog === undefined ? [] : [keeperSecretNames.watchdogKey]),
    ],
    allow: [],
  };
  const arbiter: KeeperSidePlan = {
    config: {
      ...common,
      side: "arbiter",
      arbiter: {
        services,
        // Whether the host itself has a card is not the plan's to know: the arbiter looks for one.
        ...(gpu === undefined ? {} : { gpu: { index: 0 } }),
        link: { listen, pskFile: keyFile(place) },
        muse,
        scan,
        thermal,
        power,
      },
    },
    secretNames: [keeperSecretNames.linkKey],
    allow: ground.allow,
  };
  const release = { version: keeper.version, sha256: keeper.sha256 };
  const healthSec = keeper.healthSec ?? 60;
  const faults: Fault[] = [];
  for (const side of ["host", "arbiter"] as const) {
    const where = side === "arbiter" ? place : {};
    const planned = planAgent({ side, ...where, release, healthSec, ...{ host, arbiter }[side] });
    if (!planned.ok) faults.push(...planned.faults.map((each) => ({ ...each, property: settingOf(each.property) })));
  }
  const firmware = watchdog === undefined ? undefined : firmwareOf(watchdog);
  if (firmware?.ok === false) faults.push(...firmware.faults);
  const watchdogFirmware = firmware?.ok === true ? firmware.value : undefined;
  const { tarball, brainHostKey: hostKey } = keeper;
  const sides = { host, arbiter };
  return checked(faults, {
    ...{ tarball, release, vm: vm && { ...vm, hostKey }, healthSec, ...sides, watchdogFirmware },
  });
}

/** The stack's setting behind a property of an installation. */
function settingOf(property: string): string {
  return keeperProperty(property === "tarball.sha256" ? "sha256" : property);
}
