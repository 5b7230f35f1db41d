import { getPriority, setPriority } from "node:os";

/**
 * The nice value that hurried threads have for the milliseconds of a freeze. Nothing else gives a service this one, so
 * that a thread found with it was left by a Keeper that died in between.
 */
const hurriedNice = -19;
/** More threads than this are frozen as they come: the calls themselves would take milliseconds. */
const mostThreads = 2_000;

/**
 * A thread freezes when it is next scheduled, and on a loaded machine waits its turn for that. These are put ahead of
 * everybody else; frozen already or about to be, they do no work with it. Needs CAP_SYS_NICE; without it nothing
 * changes. Measured with 64 busy processes, 4 more of the same and other load of 20 to 50 on 2 cores, p90 of a freeze:
 * 76 ms without, 37 ms with.
 *
 * @returns gives every thread its own nice value back
 */
export function hurry(threads: readonly number[]): () => void {
  const before: (readonly [thread: number, nice: number])[] = [];
  if (threads.length <= mostThreads)
    for (const thread of threads) {
      const nice = niceOf(thread);
      if (nice !== undefined && setNice(thread, hurriedNice)) before.push([thread, nice === hurriedNice ? 0 : nice]);
    }
  return () => {
    for (const [thread, nice] of before) setNice(thread, nice);
  };
}

/** Gives the ordinary nice value 0 to threads that a Keeper left hurried. */
export function calmDown(threads: readonly number[]): void {
  for (const thread of threads) if (niceOf(thread) === hurriedNice) setNice(thread, 0);
}

function niceOf(thread: number): number | undefined {
  try {
    return getPriority(thread);
  } catch {
    return undefined;
  }
}

function setNice(thread: number, nice: number): boolean {
  try {
    setPriority(thread, nice);
    return true;
  } catch {
    // It has ended, or this Keeper may not: the freeze then takes as long as it takes.
    return false;
  }
}
