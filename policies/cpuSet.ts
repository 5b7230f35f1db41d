/** Schema of the setting that describes the host's cores. */
export const physicalCoresSchema = {
  type: "array" as const,
  items: { type: "string" as const },
  description:
    "The host's physical cores, each as the CPU list of its hardware threads (`lscpu -e=CPU,CORE`), for example `0,16`. Without it, the cores of the host that the stack declares.",
};

/** Highest CPU number that the kernel supports on x86-64 (`NR_CPUS`), which bounds a range's length. */
const highestCpu = 8191;

/** The CPUs of a list such as `1-2,17-18`, or `undefined` when it is not one. */
export function readCpuSet(text: string): ReadonlySet<number> | undefined {
  const cpus = new Set<number>();
  for (const part of text.split(",")) {
    const [, first, last] = /^\s*(\d{1,4})(?:-(\d{1,4}))?\s*$/.exec(part) ?? [];
    if (first === undefined) return undefined;
    const end = Number(last ?? first);
    if (end > highestCpu || end < Number(first)) return undefined;
    for (let cpu = Number(first); cpu <= end; cpu++) cpus.add(cpu);
  }
  return cpus;
}

/** Every physical core that has a thread in the set. */
export function coresTouched(cores: readonly string[], cpus: ReadonlySet<number>): readonly ReadonlySet<number>[] {
  return cores.flatMap((core) => {
    const threads = readCpuSet(core);
    return threads !== undefined && overlap(threads, cpus).length > 0 ? [threads] : [];
  });
}

/** The set with the SMT siblings of every CPU in it. */
export function withSiblings(cores: readonly string[], cpus: ReadonlySet<number>): ReadonlySet<number> {
  return new Set([...cpus, ...coresTouched(cores, cpus).flatMap((core) => [...core])]);
}

/** CPUs that are in both sets. */
export function overlap(one: ReadonlySet<number>, other: ReadonlySet<number>): readonly number[] {
  return [...one].filter((cpu) => other.has(cpu));
}

/** CPUs in ascending order, as people read them. */
export function showCpus(cpus: Iterable<number>): string {
  return [...cpus].sort((a, b) => a - b).join(",");
}
