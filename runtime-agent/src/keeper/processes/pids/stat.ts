import { readFileSync, readdirSync } from "node:fs";
import { codeOf } from "../errors.ts";

/**
 * A process that cannot be mistaken for another: a pid is used again, a pid with its start time is not.
 * `startTicks` is field 22 of /proc/PID/stat, in clock ticks since boot (proc(5)).
 */
export interface ProcessId {
  readonly pid: number;
  readonly startTicks: number;
}

/** State letters of proc(5): R running, S sleeping, D in the kernel, T stopped, t traced, Z zombie, X dead, I idle. */
export type StateLetter = "R" | "S" | "D" | "T" | "t" | "Z" | "X" | "I" | "W" | "K" | "P" | "x";

export interface ProcessStat extends ProcessId {
  readonly name: string;
  readonly state: StateLetter;
  readonly parent: number;
  readonly threads: number;
}

const letters: ReadonlySet<string> = new Set<StateLetter>(["R", "S", "D", "T", "t", "Z", "X", "I", "W", "K", "P", "x"]);
const isLetter = (text: string | undefined): text is StateLetter => text !== undefined && letters.has(text);

/** Reads the text of a /proc/PID/stat; undefined when it is not one. */
export function parseStat(text: string): ProcessStat | undefined {
  // The name stands in parentheses and may hold anything, parentheses too: fields count from its end.
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  if (open < 1 || close < open) return undefined;
  const pid = Number(text.slice(0, open - 1));
  const fields = text.slice(close + 2).split(" ");
  const [state, parentText] = fields;
  const [parent, threads, startTicks] = [Number(parentText), Number(fields[17]), Number(fields[19])];
  if (!isLetter(state) || ![pid, parent, threads, startTicks].every(Number.isSafeInteger)) return undefined;
  return { pid, name: text.slice(open + 1, close), state, parent, threads, startTicks };
}

/** The process with this number now; undefined when there is none. */
export function readStat(pid: number): ProcessStat | undefined {
  return readStatFile(`/proc/${String(pid)}/stat`);
}

function readStatFile(file: string): ProcessStat | undefined {
  try {
    return parseStat(readFileSync(file, "utf8"));
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ESRCH") return undefined;
    throw error;
  }
}

/** The same process as before, alive or a zombie; undefined when it has gone, even if its number is in use again. */
export function readSame(id: ProcessId): ProcessStat | undefined {
  const now = readStat(id.pid);
  return now?.startTicks === id.startTicks ? now : undefined;
}

/** A zombie has ended: it holds no memory and no GPU, and only its parent can take its number away. */
export function hasEnded(stat: ProcessStat | undefined): boolean {
  if (stat === undefined || stat.state === "X" || stat.state === "x") return true;
  // A first thread that left before the others is shown as a zombie while they work on.
  return stat.state === "Z" && stat.threads <= 1;
}

/** Whether every thread of it is stopped by a signal. The first field alone speaks of the first thread. */
export function isStopped(stat: ProcessStat): boolean {
  return everyThread(stat, ({ state }) => state === "T" || state === "t");
}

/**
 * Those of a tree that stand still: stopped, or waiting in the kernel for a child that is. After vfork(2) the parent
 * cannot be stopped before its child has gone on (it sleeps as D), and runs nothing of its own until then.
 */
export function standing(members: readonly ProcessStat[]): readonly ProcessStat[] {
  const still = new Set(members.filter(isStopped));
  const waits = (stat: ProcessStat): boolean =>
    everyThread(stat, ({ state }) => state === "T" || state === "t" || state === "D") &&
    members.some((child) => child.parent === stat.pid && still.has(child));
  for (let before = -1; before < still.size;) {
    before = still.size;
    for (const stat of members) if (!still.has(stat) && waits(stat)) still.add(stat);
  }
  return [...still];
}

/** Looks at the threads only where the first one is as wanted. One that has ended counts as wanted. */
function everyThread(stat: ProcessStat, is: (thread: ProcessStat) => boolean): boolean {
  if (!is(stat)) return false;
  if (stat.threads <= 1) return true;
  const folder = `/proc/${String(stat.pid)}/task`;
  try {
    return readdirSync(folder).every((thread) => {
      const one = readStatFile(`${folder}/${thread}/stat`);
      return one === undefined || hasEnded(one) || is(one);
    });
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ESRCH") return true;
    throw error;
  }
}

/** Every process of the machine, for a walk from parents to children. */
export function readAllStats(): readonly ProcessStat[] {
  return readdirSync("/proc")
    .filter((name) => /^[1-9]\d*$/.test(name))
    .map((name) => readStat(Number(name)))
    .filter((stat) => stat !== undefined);
}
