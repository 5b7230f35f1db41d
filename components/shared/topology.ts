import type { Checked, Fault } from "./faults.ts";
import { checked, faultInWords } from "./check.ts";

/** One logical CPU of the host, as `lscpu -J -e` gives it. */
export interface LogicalCpu {
  /** The kernel's number of this CPU. */
  readonly cpu: number;
  /** Physical core: two logical CPUs with the same core and socket are SMT siblings. */
  readonly core: number;
  readonly socket: number;
  /** NUMA node. */
  readonly node: number;
  /** Highest clock in MHz, when the kernel tells: tells hybrid cores apart. */
  readonly maxMhz?: number | undefined;
}

/** A host's processors. */
export interface HostTopology {
  readonly cpus: readonly LogicalCpu[];
}

/** One physical core with its SMT siblings. */
export interface PhysicalCore {
  /** `socket:core`, unique on the host. */
  readonly id: string;
  readonly socket: number;
  readonly node: number;
  /** Logical CPUs on it, ascending. */
  readonly cpus: readonly number[];
  /** Highest clock of its CPUs in MHz, when known. */
  readonly maxMhz?: number | undefined;
}

/** The host's physical cores, by their lowest CPU. */
export function physicalCores(topology: HostTopology): readonly PhysicalCore[] {
  const byId = new Map<string, LogicalCpu[]>();
  for (const cpu of topology.cpus) {
    const id = `${String(cpu.socket)}:${String(cpu.core)}`;
    byId.set(id, [...(byId.get(id) ?? []), cpu]);
  }
  const cores = [...byId].map(([id, cpus]): PhysicalCore => {
    const clocks = cpus.flatMap(({ maxMhz }) => (maxMhz === undefined ? [] : [maxMhz]));
    return {
      id,
      socket: cpus[0]?.socket ?? 0,
      node: cpus[0]?.node ?? 0,
      cpus: cpus.map(({ cpu }) => cpu).sort((a, b) => a - b),
      maxMhz: clocks.length === 0 ? undefined : Math.max(...clocks),
    };
  });
  return cores.sort((a, b) => (a.cpus[0] ?? 0) - (b.cpus[0] ?? 0));
}

/** A regular host, as a person describes it. */
export interface SmtSpec {
  /** Sockets, 1 to 8. */
  readonly sockets: number;
  /** Physical cores in each socket. */
  readonly coresPerSocket: number;
  /** 2 with SMT (Hyper-Threading) on, else 1. */
  readonly threadsPerCore: 1 | 2;
  /** NUMA nodes in each socket. @default 1 */
  readonly nodesPerSocket?: number | undefined;
  /**
   * How the kernel numbers siblings: `split` gives every core its first CPU and then every core its second one
   * (Intel, AMD: 0 and 16 are siblings), `adjacent` pairs neighbours (0 and 1). @default "split"
   */
  readonly numbering?: "split" | "adjacent" | undefined;
}

/** The logical CPUs of a regular host; NUMA nodes take equal, contiguous parts of each socket's cores. */
export function smtTopology(spec: SmtSpec): HostTopology {
  const { sockets, coresPerSocket, threadsPerCore, nodesPerSocket = 1, numbering = "split" } = spec;
  const cores = sockets * coresPerSocket;
  const cpus: LogicalCpu[] = [];
  for (let index = 0; index < cores; index += 1) {
    const socket = Math.floor(index / coresPerSocket);
    const within = index % coresPerSocket;
    const node = socket * nodesPerSocket + Math.floor((within * nodesPerSocket) / coresPerSocket);
    for (let thread = 0; thread < threadsPerCore; thread += 1) {
      const cpu = numbering === "split" ? thread * cores + index : index * threadsPerCore + thread;
      cpus.push({ cpu, core: index, socket, node });
    }
  }
  return { cpus: cpus.sort((a, b) => a.cpu - b.cpu) };
}

/** CPUs that Linux can have on x86 (CONFIG_NR_CPUS of Debian and Proxmox kernels). */
const mostCpus = 8192;
const property = "host.topology";
const fix = "Use what `lscpu -J -e=CPU,CORE,SOCKET,NODE,MAXMHZ` prints on the host.";

/** Faults of a topology: CPUs numbered once each, and no physical core in two NUMA nodes. */
export function checkTopology(topology: HostTopology): readonly Fault[] {
  const faults: Fault[] = [];
  const { cpus } = topology;
  if (cpus.length === 0 || cpus.length > mostCpus) {
    faults.push(faultInWords(`${property}.cpus`, `${String(cpus.length)} CPUs`, `1 to ${String(mostCpus)} CPUs`, fix));
  }
  const numbers = cpus.flatMap(({ cpu, core, socket, node }) => [cpu, core, socket, node]);
  if (numbers.some((value) => !Number.isSafeInteger(value) || value < 0)) {
    faults.push(
      faultInWords(`${property}.cpus`, "a CPU without whole numbers", "cpu, core, socket and node from 0", fix),
    );
  }
  if (new Set(cpus.map(({ cpu }) => cpu)).size !== cpus.length) {
    faults.push(faultInWords(`${property}.cpus`, "a CPU number twice", "each CPU once", fix));
  }
  const nodes = new Map<string, number>();
  for (const { socket, core, node } of cpus) {
    const id = `${String(socket)}:${String(core)}`;
    if ((nodes.get(id) ?? node) !== node) {
      faults.push(faultInWords(`${property}.cpus`, `core ${id} in two NUMA nodes`, "one NUMA node a core", fix));
      break;
    }
    nodes.set(id, node);
  }
  return faults;
}

function numberOf(value: unknown): number | undefined {
  const number =
    typeof value === "number" ? value : typeof value === "string" && value.trim() !== "" ? Number(value) : Number.NaN;
  return Number.isFinite(number) ? number : undefined;
}

/** The fields of a value, if it is an object. */
function fieldsOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
}

function cpuOf(row: Readonly<Record<string, unknown>>): LogicalCpu | undefined {
  const [cpu, core, socket] = [numberOf(row["cpu"]), numberOf(row["core"]), numberOf(row["socket"])];
  // util-linux prints `-` for the node on a kernel without NUMA.
  const node = numberOf(row["node"]) ?? 0;
  if (cpu === undefined || core === undefined || socket === undefined) return undefined;
  const maxMhz = numberOf(row["maxmhz"]);
  return maxMhz === undefined ? { cpu, core, socket, node } : { cpu, core, socket, node, maxMhz };
}

/**
 * The topology that `lscpu -J -e=CPU,CORE,SOCKET,NODE,MAXMHZ` prints: an object with a list `cpus`, whose rows have
 * numbers as numbers or as texts (both exist among util-linux versions). Offline CPUs are left out.
 */
export function parseLscpu(json: string): Checked<HostTopology> {
  const refused = (value: string): Checked<HostTopology> => ({
    ok: false,
    faults: [faultInWords(property, value, "an object with a list `cpus` of cpu, core, socket and node", fix)],
  });
  if (json.length > 4_000_000) return refused(`${String(json.length)} characters`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    return refused("no JSON");
  }
  const rows: unknown = fieldsOf(parsed)?.["cpus"];
  if (!Array.isArray(rows)) return refused("JSON without `cpus`");
  const cpus: LogicalCpu[] = [];
  for (const row of rows as readonly unknown[]) {
    const fields = fieldsOf(row);
    if (fields?.["online"] === false || fields?.["online"] === "no") continue;
    const cpu = fields === undefined ? undefined : cpuOf(fields);
    if (cpu === undefined) return refused("a row without cpu, core or socket");
    cpus.push(cpu);
  }
  const topology: HostTopology = { cpus: cpus.sort((a, b) => a.cpu - b.cpu) };
  return checked(checkTopology(topology), topology);
}

/** How many cores and CPUs a host has, in words. */
export function describeTopology(topology: HostTopology): string {
  const nodes = new Set(topology.cpus.map(({ node }) => node)).size;
  const cores = physicalCores(topology).length;
  return `${String(cores)} physical cores, ${String(topology.cpus.length)} CPUs, ${String(nodes)} NUMA node(s)`;
}
