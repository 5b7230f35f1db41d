// The configuration of the lab's Keeper, as a person would write it for a real one.
import type { KeeperConfigInput } from "../../components/shared/agent/keeperConfig.ts";
import { seedMachines } from "../../components/shared/machineTable.ts";
import type { KeeperFolder } from "./folder.ts";
import { labServices, pidFileOf, workerCommand } from "./services.ts";

export interface LabArbiterOptions {
  readonly folder: KeeperFolder;
  /** Folder of socket and token. */
  readonly runtime: string;
  /** The two fake libraries. */
  readonly nvml: string;
  readonly cuda: string;
  readonly timeZone: string;
  /** The evening of a script, played at `rate`; undefined: the machine's own time and load. */
  readonly rate: number | undefined;
  /** Where the host side connects; undefined: the arbiter goes by its own calendar. */
  readonly link?: LabLink | undefined;
}

export interface LabLink {
  /** On the loopback. */
  readonly port: number;
  readonly keyFile: string;
}

/** The lab's Proxmox VE API. */
export interface LabProxmox {
  readonly url: string;
  readonly tokenFile: string;
  readonly caFile: string;
  readonly node: string;
}

/** The arbiter side: the fake card, the lab's services, the seed's calendar. Pure. */
export function labArbiterConfig(options: LabArbiterOptions): KeeperConfigInput {
  const { folder, runtime, rate, link } = options;
  // A minute of the evening, and a turn of the loop at least.
  const muse = rate === undefined ? {} : { holdSec: Math.max(1, Math.round(60 / rate)) };
  return {
    version: 1,
    side: "arbiter",
    paths: { state: folder.state, runtime, log: folder.log },
    timeZone: options.timeZone,
    arbiter: {
      services: labServices.map(({ name, rank, kind, vramGB }) => ({
        name,
        rank,
        kind,
        vram: `${String(vramGB)} GB`,
        leaseSec: 30,
        pidFile: pidFileOf(folder.services, name),
        ...(kind !== "interactive" ? { start: [...workerCommand(folder.services, name)] } : {}),
        ...(name === "eva-core" ? { tokenFile: folder.evaToken } : {}),
      })),
      gpu: {
        library: options.nvml,
        cudaLibrary: options.cuda,
        index: 0,
        sampleSec: rate === undefined || rate <= 300 ? 1 : 0.25,
      },
      // Ten minutes of the evening.
      power: rate === undefined ? {} : { idleSec: Math.max(1, Math.round(600 / rate)) },
      muse,
      // In a script the scans come when it says.
      scan: rate === undefined ? {} : { everySec: 604_800 },
      ...(link === undefined ? {} : { link: { listen: addressOf(link), pskFile: link.keyFile } }),
    },
  };
}

/** The host side: the lab's Proxmox and the seed's machines, which it watches and leaves as they are. Pure. */
export function labHostConfig(options: {
  readonly folder: KeeperFolder;
  readonly runtime: string;
  readonly timeZone: string;
  readonly proxmox: LabProxmox;
  readonly link: LabLink;
}): KeeperConfigInput {
  const { folder, runtime, timeZone, proxmox, link } = options;
  return {
    version: 1,
    side: "host",
    paths: { state: hostState(folder.state), runtime, log: folder.log },
    timeZone,
    host: {
      proxmox,
      // None balloons: the memory that the host side reads is this machine's, not the lab's.
      guests: seedMachines.map(({ id, hostname, startupOrder }) => ({
        ...{ vmid: id, role: hostname, priority: startupOrder, essential: true },
      })),
      link: { connect: addressOf(link), pskFile: link.keyFile },
    },
  };
}

/** The host side's state folder, beside the arbiter's. */
export function hostState(state: string): string {
  return `${state}-host`;
}

function addressOf({ port }: LabLink): string {
  return `127.0.0.1:${String(port)}`;
}
