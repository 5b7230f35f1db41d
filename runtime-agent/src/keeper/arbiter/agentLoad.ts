/** The load average that the daemon goes by, and the one that a lab puts in its place. */
import { readFileSync } from "node:fs";

/** One-minute load average; undefined when it cannot be read, and then it is not low. */
export type LoadReader = () => number | undefined;

/** The kernel counts the load anew this often, ms (LOAD_FREQ of kernel/sched/loadavg.c). */
const periodMs = 5_000;

/**
 * The first number of /proc/loadavg, read as often as it changes. For the lab, `HIVE_LAB_LOAD` names a file that is read
 * in its place, at each call. Without a number in it, or without the file, the load is unreadable: the machine's own
 * never mixes with a script's. The part of the load that a batch causes itself is measured of its processes as ever.
 *
 * @throws RangeError for a value that is no absolute path
 */
export function agentLoad(env: NodeJS.ProcessEnv = process.env, nowMs = (): number => performance.now()): LoadReader {
  const { HIVE_LAB_LOAD: lab } = env;
  if (lab !== undefined && lab !== "") {
    if (!lab.startsWith("/")) throw new RangeError("HIVE_LAB_LOAD: write the path of a file like /proc/loadavg");
    return () => readLoad(lab);
  }
  let last: { readonly value: number | undefined; readonly atMs: number } | undefined;
  return () => {
    const now = nowMs();
    if (last === undefined || now - last.atMs >= periodMs) last = { value: readLoad("/proc/loadavg"), atMs: now };
    return last.value;
  };
}

function readLoad(file: string): number | undefined {
  try {
    // As UTF-8 a file of /proc costs Node no buffer of 64 KiB.
    const first = Number.parseFloat(readFileSync(file, "utf8"));
    return Number.isFinite(first) && first >= 0 ? first : undefined;
  } catch {
    return undefined;
  }
}
