/** Memory of a process and everything below it, sampled from /proc. */
import { readFileSync, readdirSync } from "node:fs";

const pageMiB = 4096 / 1024 / 1024;

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  readonly rssMiB: number;
}

function readProcess(pid: number): Process | undefined {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, "utf8");
    // The command stands in parentheses and may hold anything: fields count from its end (proc(5)).
    const close = stat.lastIndexOf(")");
    const fields = stat.slice(close + 2).split(" ");
    const name = stat.slice(stat.indexOf("(") + 1, close);
    return { pid, name, parent: Number(fields[1]), rssMiB: Number(fields[21]) * pageMiB };
  } catch {
    return undefined;
  }
}

/** The process `root` and its descendants that live now. */
export function processTree(root: number): readonly Process[] {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProcess(Number(name)))
    .filter((process) => process !== undefined);
  const tree = new Set([root]);
  // A child's number may be lower than its parent's: look until nothing is added.
  for (let before = 0; before !== tree.size;) {
    before = tree.size;
    for (const { pid, parent } of all) if (tree.has(parent)) tree.add(pid);
  }
  return all.filter(({ pid }) => tree.has(pid));
}

/** The largest resident size that a process ever had (VmHWM), in MiB; undefined when it has gone. */
export function peakOf(pid: number): number | undefined {
  try {
    const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${String(pid)}/status`, "utf8"));
    return line === null ? undefined : Number(line[1]) / 1024;
  } catch {
    return undefined;
  }
}

/** Peaks of one process tree. */
export interface TreePeaks {
  /** Largest sum of the resident sizes at one moment; pages that processes share count in each of them. */
  readonly treeMiB: number;
  /** Largest VmHWM by the name of the executable. */
  readonly byName: Readonly<Record<string, number>>;
}

/** Samples the tree below `root` until `stop` is called. Linux only; elsewhere the peaks are NaN. */
export function watchTree(root: number, everyMs = 100): { stop: () => TreePeaks } {
  if (process.platform !== "linux") return { stop: () => ({ treeMiB: Number.NaN, byName: {} }) };
  let treeMiB = 0;
  const byName: Record<string, number> = {};
  const look = (): void => {
    const tree = processTree(root);
    treeMiB = Math.max(
      treeMiB,
      tree.reduce((sum, { rssMiB }) => sum + rssMiB, 0),
    );
    for (const { pid, name } of tree) byName[name] = Math.max(byName[name] ?? 0, peakOf(pid) ?? 0);
  };
  look();
  const timer = setInterval(look, everyMs);
  return {
    stop: () => {
      clearInterval(timer);
      return { treeMiB, byName };
    },
  };
}

/** Processor time of this process's children that have ended, with theirs, in seconds; NaN without /proc. */
export function childrenCpuSeconds(): number {
  if (process.platform !== "linux") return Number.NaN;
  const stat = readFileSync("/proc/self/stat", "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  // cutime and cstime, in ticks of 1/100 s (proc(5); USER_HZ is 100 on every Linux that Node runs on).
  return (Number(fields[13]) + Number(fields[14])) / 100;
}
