import type { PolicyResource } from "@pulumi/policy";
import { type LogicalCpu, physicalCores, smtTopology } from "../components/shared/topology.ts";
import { type Maybe, isKnown, listAt, numberAt, stringAt } from "./facts.ts";

export const hostType = "hive:index:Host";

/** What rules need of the host; a stack declares it as `Host`. */
export interface HostFacts {
  /** Physical cores, each as the CPU list of its hardware threads, for example `0,16`. */
  readonly physicalCores: readonly string[];
  readonly ramMiB: number;
  /** Upper bound of the ZFS cache in MiB. */
  readonly arcMiB: number;
  /** Memory kept for the host itself in MiB. */
  readonly reservedMiB: number;
  readonly privateBridge: string;
  readonly dmzBridge: string;
}

/** The host of seed 001: 16 cores of two threads, siblings n and n + 16, 128 GB, 4 GB each for ZFS and the host. */
export const seedHost: HostFacts = {
  physicalCores: coreLists(smtTopology({ sockets: 1, coresPerSocket: 16, threadsPerCore: 2 }).cpus),
  ramMiB: 131_072,
  arcMiB: 4096,
  reservedMiB: 4096,
  privateBridge: "vmbr1",
  dmzBridge: "vmbr2",
};

/** The host that the stack declares; the seed's fact where it declares none. */
export function readHost(resources: readonly Pick<PolicyResource, "type" | "props">[]): HostFacts {
  const props: unknown = resources.find(({ type }) => type === hostType)?.props;
  const number = (name: string): number | undefined => known(numberAt(props, name));
  return {
    physicalCores: readCores(props) ?? seedHost.physicalCores,
    ramMiB: number("ramMiB") ?? seedHost.ramMiB,
    arcMiB: number("arcMiB") ?? seedHost.arcMiB,
    reservedMiB: number("reservedMiB") ?? seedHost.reservedMiB,
    privateBridge: known(stringAt(props, "bridges", "private")) ?? seedHost.privateBridge,
    dmzBridge: known(stringAt(props, "bridges", "dmz")) ?? seedHost.dmzBridge,
  };
}

function known<T extends string | number>(fact: Maybe<T>): T | undefined {
  return isKnown(fact) ? fact : undefined;
}

function readCores(props: unknown): readonly string[] | undefined {
  const rows = listAt(props, "topology", "cpus");
  if (!isKnown(rows) || rows.length === 0) return undefined;
  const cpus = rows.flatMap((row): LogicalCpu[] => {
    const cpu = numberAt(row, "cpu");
    const core = numberAt(row, "core");
    const socket = numberAt(row, "socket");
    return isKnown(cpu) && isKnown(core) && isKnown(socket) ? [{ cpu, core, socket, node: 0 }] : [];
  });
  return cpus.length === rows.length ? coreLists(cpus) : undefined;
}

function coreLists(cpus: readonly LogicalCpu[]): readonly string[] {
  return physicalCores({ cpus }).map((core) => core.cpus.join(","));
}
