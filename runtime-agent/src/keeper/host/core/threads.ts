/**
 * CPUs of the trading VM (seed 001 §3): its threads on its cores, every other guest and service off them. Proxmox's
 * `affinity` pins vCPUs only, and somebody may change any of it later, so the plan compares what is with what should be
 * and names the differences; applied twice it names none.
 */

/** What a thread of a QEMU process does, told by its name. */
export type ThreadKind = "vcpu" | "io" | "emulator";

export interface ThreadSeen {
  readonly tid: number;
  readonly kind: ThreadKind;
  /** Number of the vCPU. */
  readonly vcpu?: number;
  readonly cpus: readonly number[];
  /** Kernel policy: 0 other, 1 FIFO, 2 round robin, 3 batch, 5 idle. */
  readonly policy: number;
  /** 0 outside the real-time classes, else 1 to 99. */
  readonly priority: number;
}

export interface GroupSeen {
  /** Path below the cgroup mount, for example `system.slice`. */
  readonly path: string;
  /** Its `cpuset.cpus.effective`. */
  readonly cpus: readonly number[];
}

export interface PinningRule {
  readonly vmid: number;
  /** Cores of that VM alone. */
  readonly cpus: readonly number[];
  /** SCHED_FIFO priority of its vCPU threads, 1 to 49; 0 leaves the class alone. */
  readonly realtimePriority: number;
}

export type PinningDeed =
  | { readonly kind: "affinity"; readonly tid: number; readonly cpus: readonly number[] }
  | { readonly kind: "scheduler"; readonly tid: number; readonly policy: number; readonly priority: number }
  | { readonly kind: "group"; readonly path: string; readonly cpus: readonly number[] };

export interface PinningInput {
  readonly rule: PinningRule;
  /** Every CPU that is online. */
  readonly online: readonly number[];
  /** Threads of the VM; empty while it does not run. */
  readonly threads: readonly ThreadSeen[];
  /** Threads of other guests' QEMU processes. */
  readonly others: readonly ThreadSeen[];
  /** Groups that must stay off the VM's cores: slices, and the scopes of other guests. */
  readonly groups: readonly GroupSeen[];
}

export const schedOther = 0;
export const schedFifo = 1;

/** Kind and number by the name QEMU gives a thread (`-name debug-threads=on`): `CPU 3/KVM`, `IO iothread0`, `kvm`. */
export function threadKind(name: string): Pick<ThreadSeen, "kind" | "vcpu"> {
  const vcpu = /^CPU (\d{1,4})\/(?:KVM|TCG)$/.exec(name)?.[1];
  if (vcpu !== undefined) return { kind: "vcpu", vcpu: Number(vcpu) };
  return /^(?:IO |iou-|vhost)/.test(name) ? { kind: "io" } : { kind: "emulator" };
}

const same = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((cpu, index) => cpu === b[index]);
const ascending = (cpus: Iterable<number>): number[] => [...new Set(cpus)].sort((a, b) => a - b);

/** Differences between what is and what should be, or why nothing can be done. */
export function planPinning(
  input: PinningInput,
): { readonly ok: true; readonly deeds: readonly PinningDeed[] } | { readonly ok: false; readonly reason: string } {
  const { rule, threads } = input;
  const own = ascending(rule.cpus.filter((cpu) => input.online.includes(cpu)));
  const rest = ascending(input.online.filter((cpu) => !own.includes(cpu)));
  if (own.length < new Set(rule.cpus).size)
    return { ok: false, reason: `CPUs of VM ${String(rule.vmid)} are offline; online: ${input.online.join(",")}` };
  if (rest.length === 0) return { ok: false, reason: `VM ${String(rule.vmid)} would leave no CPU to the host` };
  const deeds: PinningDeed[] = [];
  const keep = (thread: ThreadSeen, cpus: readonly number[]): void => {
    if (!same(ascending(thread.cpus), cpus)) deeds.push({ kind: "affinity", tid: thread.tid, cpus });
  };
  const classed = (thread: ThreadSeen, policy: number, priority: number): void => {
    if (thread.policy !== policy || thread.priority !== priority)
      deeds.push({ kind: "scheduler", tid: thread.tid, policy, priority });
  };

  const vcpus = threads.filter(({ kind }) => kind === "vcpu").toSorted((a, b) => (a.vcpu ?? 0) - (b.vcpu ?? 0));
  // A vCPU has a CPU of its own where there are enough; then the helpers get what is left over.
  const single = vcpus.length > 0 && vcpus.length <= own.length;
  const spare = single ? own.slice(vcpus.length) : own;
  const helpers = spare.length > 0 ? spare : own;
  vcpus.forEach((thread, index) => keep(thread, single ? [own[index] ?? 0] : own));
  for (const thread of threads) if (thread.kind !== "vcpu") keep(thread, helpers);
  const fifo = rule.realtimePriority;
  if (fifo > 0) {
    for (const thread of vcpus) classed(thread, schedFifo, fifo);
    // A helper that shares a CPU with a real-time vCPU must be able to interrupt it, or the guest's disks starve.
    const shares = !single || spare.length === 0;
    for (const thread of threads) {
      if (thread.kind === "vcpu") continue;
      if (shares) classed(thread, schedFifo, fifo + 1);
      else if (thread.policy === schedFifo) classed(thread, schedOther, 0);
    }
  }
  // Off the cores means off them: whatever narrower choice somebody made among the others stays.
  const off = (cpus: readonly number[]): readonly number[] | undefined => {
    if (!cpus.some((cpu) => own.includes(cpu))) return undefined;
    const left = ascending(cpus.filter((cpu) => rest.includes(cpu)));
    return left.length > 0 ? left : rest;
  };
  for (const group of input.groups) {
    const cpus = off(group.cpus);
    if (cpus !== undefined) deeds.push({ kind: "group", path: group.path, cpus });
  }
  for (const thread of input.others) {
    const cpus = off(thread.cpus);
    if (cpus !== undefined) deeds.push({ kind: "affinity", tid: thread.tid, cpus });
  }
  return { ok: true, deeds };
}
