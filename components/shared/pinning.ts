import type { Checked, Fault } from "./faults.ts";
import type { Machine } from "./machines.ts";
import type { HostTopology, PhysicalCore } from "./topology.ts";
import { fault, faultInWords, isWhole } from "./check.ts";
import { machinePath } from "./ids.ts";
import { checkTopology, describeTopology, physicalCores } from "./topology.ts";

/** The CPUs one guest may run on. */
export interface GuestPins {
  readonly id: number;
  /** Logical CPUs, ascending; always whole physical cores. */
  readonly cpus: readonly number[];
  /** Whether nobody else may use them. */
  readonly dedicated: boolean;
}

/** Who runs where. The host's, the shared and every dedicated guest's CPUs have no core in common. */
export interface PinningPlan {
  /** CPUs kept for the host and its I/O threads. */
  readonly host: readonly number[];
  /** CPUs that all shared guests float over. */
  readonly shared: readonly number[];
  readonly guests: readonly GuestPins[];
}

/** Physical cores of a dedicated guest (seed 001 §3: 2 to 4). */
export const dedicatedCores = { least: 2, most: 4 } as const;
/** A shared guest with so many vCPUs stays in one NUMA node where it fits. */
const bigGuestVcpus = 4;

const cpusOf = (cores: readonly PhysicalCore[]): number[] => cores.flatMap(({ cpus }) => cpus).sort((a, b) => a - b);
const clock = (core: PhysicalCore): number => core.maxMhz ?? 0;
const lowest = (core: PhysicalCore): number => core.cpus[0] ?? 0;
const nodesOf = (cores: readonly PhysicalCore[]): number[] => [...new Set(cores.map(({ node }) => node))];

/** The host's cores: that of CPU 0, where the kernel does its housekeeping, then slow ones, near CPU 0. */
function hostCores(cores: readonly PhysicalCore[], count: number): readonly PhysicalCore[] {
  const [first, ...others] = cores;
  if (first === undefined) return [];
  const far = (core: PhysicalCore): number => (core.node === first.node ? 0 : 1);
  const ranked = others.toSorted((a, b) => clock(a) - clock(b) || far(a) - far(b) || lowest(a) - lowest(b));
  return [first, ...ranked.slice(0, count - 1)];
}

/** `count` cores of one node, fastest first; more, up to four, when those have fewer CPUs than the guest vCPUs. */
function pick(inNode: readonly PhysicalCore[], count: number, vcpus: number): readonly PhysicalCore[] | undefined {
  const ranked = inNode.toSorted((a, b) => clock(b) - clock(a) || lowest(b) - lowest(a));
  for (let size = count; size <= Math.min(dedicatedCores.most, ranked.length); size += 1) {
    const picked = ranked.slice(0, size);
    if (cpusOf(picked).length >= vcpus) return picked;
  }
  return undefined;
}

interface Choice {
  readonly cores: readonly PhysicalCore[];
  /** Larger is better, compared from the left. */
  readonly rank: readonly number[];
}

function better(a: Choice, b: Choice): Choice {
  for (const [index, value] of a.rank.entries()) {
    const other = b.rank[index] ?? 0;
    if (value !== other) return value > other ? a : b;
  }
  return a;
}

/** The best node's cores for one dedicated guest: leave a node whole for the biggest shared guest, then fast, then far from CPU 0. */
function choose(
  free: readonly PhysicalCore[],
  count: number,
  vcpus: number,
  biggest: number,
  hostNode: number,
): readonly PhysicalCore[] | undefined {
  const choices = nodesOf(free).flatMap((node): Choice[] => {
    const cores = pick(
      free.filter((core) => core.node === node),
      count,
      vcpus,
    );
    if (cores === undefined) return [];
    const left = free.filter((core) => !cores.includes(core));
    const room = nodesOf(left).some((other) => cpusOf(left.filter((core) => core.node === other)).length >= biggest);
    const speed = Math.min(...cores.map(clock));
    return [{ cores, rank: [room ? 1 : 0, speed, node === hostNode ? 0 : 1, node] }];
  });
  return choices.length === 0 ? undefined : choices.reduce(better).cores;
}

interface Attempt {
  readonly taken: ReadonlyMap<number, readonly PhysicalCore[]>;
  readonly free: readonly PhysicalCore[];
  readonly failed: readonly Machine[];
}

/** Gives every dedicated guest its cores, each `spare` fewer than one for each vCPU, but never fewer than two. */
function attempt(
  cores: readonly PhysicalCore[],
  guests: readonly Machine[],
  spare: number,
  biggest: number,
  hostNode: number,
): Attempt {
  const taken = new Map<number, readonly PhysicalCore[]>();
  const failed: Machine[] = [];
  let free = cores;
  for (const guest of guests.toSorted((a, b) => b.vcpus - a.vcpus || a.id - b.id)) {
    const want = Math.min(dedicatedCores.most, Math.max(dedicatedCores.least, guest.vcpus));
    const picked = choose(free, Math.max(dedicatedCores.least, want - spare), guest.vcpus, biggest, hostNode);
    if (picked === undefined) failed.push(guest);
    else {
      taken.set(guest.id, picked);
      free = free.filter((core) => !picked.includes(core));
    }
  }
  return { taken, free, failed };
}

/** A NUMA node for each big shared guest where it fits, else every shared CPU. */
function shareOut(free: readonly PhysicalCore[], guests: readonly Machine[]): readonly GuestPins[] {
  const shared = cpusOf(free);
  const nodes = nodesOf(free).map((node) => ({ cpus: cpusOf(free.filter((core) => core.node === node)), load: 0 }));
  const ranked = guests.toSorted((a, b) => b.vcpus - a.vcpus || a.id - b.id);
  return ranked.map(({ id, vcpus }) => {
    const fitting = vcpus < bigGuestVcpus ? [] : nodes.filter(({ cpus }) => cpus.length >= vcpus);
    const [node] = fitting.toSorted((a, b) => b.cpus.length - b.load - (a.cpus.length - a.load));
    if (node === undefined) return { id, cpus: shared, dedicated: false };
    node.load += vcpus;
    return { id, cpus: node.cpus, dedicated: false };
  });
}

function inputFaults(topology: HostTopology, machines: readonly Machine[], reservedCores: number): readonly Fault[] {
  const faults: Fault[] = [...checkTopology(topology)];
  const cores = faults.length > 0 ? 0 : physicalCores(topology).length;
  if (!isWhole(reservedCores, 1, Math.max(1, cores - 1))) {
    const limit =
      cores < 2 ? "a whole number from 1" : `1 to ${String(cores - 1)} of the host's ${String(cores)} physical cores`;
    faults.push(fault("host.reservedCores", reservedCores, limit, "Keep at least the core of CPU 0 for the host."));
  }
  for (const { id, vcpus } of machines) {
    if (isWhole(vcpus, 1, 8192)) continue;
    faults.push(fault(machinePath(id, "vcpus"), vcpus, "a whole number from 1", "Give the machine at least one vCPU."));
  }
  return faults;
}

/**
 * Pins guests to the host's cores (design §4). A dedicated guest gets 2 to 4 whole physical cores, SMT siblings
 * included, in one NUMA node, the fast ones of a hybrid processor first, and never the core of CPU 0: one core for
 * each vCPU where the host has room, else fewer. All other guests share what neither the host nor a dedicated guest
 * has. Refused, with the numbers: a dedicated guest without such cores, and a shared guest with more vCPUs than
 * CPUs are left.
 */
export function planPinning(input: {
  readonly topology: HostTopology;
  readonly machines: readonly Machine[];
  readonly reservedCores: number;
}): Checked<PinningPlan> {
  const { topology, machines, reservedCores } = input;
  const wrong = inputFaults(topology, machines, reservedCores);
  if (wrong.length > 0) return { ok: false, faults: wrong };
  const all = physicalCores(topology);
  const host = hostCores(all, reservedCores);
  const others = all.filter((core) => !host.includes(core));
  const dedicated = machines.filter(({ pinning }) => pinning === "dedicated");
  const floating = machines.filter(({ pinning }) => pinning === "shared");
  const biggest = Math.max(0, ...floating.map(({ vcpus }) => vcpus));
  const fits = ({ failed, free }: Attempt): boolean => failed.length === 0 && cpusOf(free).length >= biggest;

  const attempts = [0, 1, 2].map((spare) => attempt(others, dedicated, spare, biggest, host[0]?.node ?? 0));
  const plan = attempts.find(fits);
  const last = attempts.at(-1);
  if (plan === undefined)
    return { ok: false, faults: last === undefined ? [] : refusal(last, floating, topology, reservedCores) };
  const pins = [
    ...dedicated.map(({ id }) => ({ id, cpus: cpusOf(plan.taken.get(id) ?? []), dedicated: true })),
    ...shareOut(plan.free, floating),
  ];
  return {
    ok: true,
    value: { host: cpusOf(host), shared: cpusOf(plan.free), guests: pins.sort((a, b) => a.id - b.id) },
  };
}

/** Why the leanest attempt failed, in numbers. */
function refusal(
  last: Attempt,
  floating: readonly Machine[],
  topology: HostTopology,
  reservedCores: number,
): readonly Fault[] {
  const left = cpusOf(last.free).length;
  const given = [...last.taken.values()].reduce((sum, cores) => sum + cores.length, 0);
  const numbers =
    `${describeTopology(topology)}; ${String(reservedCores)} core(s) for the host, ${String(given)} for dedicated guests, ` +
    `${String(last.free.length)} core(s) with ${String(left)} CPUs left`;
  const inNode = Math.max(
    0,
    ...nodesOf(last.free).map((node) => last.free.filter((core) => core.node === node).length),
  );
  const failed = last.failed.map(({ id, vcpus }) =>
    faultInWords(
      machinePath(id, "vcpus"),
      `${String(vcpus)}, each on a CPU of its own`,
      `2 to 4 whole physical cores of one NUMA node with a CPU for each vCPU; at most ${String(inNode)} core(s) left in one node (${numbers})`,
      "Give it fewer vCPUs, reserve fewer cores for the host, or use a host with more cores.",
    ),
  );
  const crowded = floating.filter(({ vcpus }) => vcpus > left);
  return [
    ...failed,
    ...crowded.map(({ id, vcpus }) =>
      fault(
        machinePath(id, "vcpus"),
        vcpus,
        `at most ${String(left)} vCPUs, one for each shared CPU (${numbers})`,
        "Give it fewer vCPUs, reserve fewer cores for the host, or use a host with more cores.",
      ),
    ),
  ];
}
