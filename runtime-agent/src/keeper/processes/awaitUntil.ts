import { setTimeout as sleep } from "node:timers/promises";
import { ProcessError } from "./errors.ts";

/** How long to nap between looks before giving the event loop its turn, and the length of one nap, ms. */
const nappingMs = 2;
const napMs = 0.1;
/** Sleep between two looks after that, ms: first and longest. */
const firstSleepMs = 1;
const longestSleepMs = 20;

const cell = new Int32Array(new SharedArrayBuffer(4));

/**
 * Looks until `look` gives a value. The kernel's answers that we wait for (frozen, stopped, gone) come within
 * microseconds to milliseconds and have no usable event: `cgroup.events` has one, but the kernel holds a second
 * notification of the same file back for 10 ms (CGROUP_FILE_NOTIFY_MIN_INTV), longer than the freeze itself.
 *
 * The first 2 ms are slept away in naps of 0.1 ms that give the core up: each process has to be scheduled once to stop,
 * and a loop that spins, or turns the event loop, holds the core that it needs. Measured with 8 busy processes on 2
 * cores, median of a freeze: naps 0.26 ms, sleeps of 1 ms 1.2 ms, inotify 3.8 ms, spinning 7 ms.
 *
 * @param look cheap and synchronous; `undefined` means "not yet"
 * @param deadlineMs milliseconds from now; 0 looks once
 * @throws ProcessError `deadline` saying what was awaited
 */
export async function awaitUntil<T>(look: () => T | undefined, deadlineMs: number, what: () => string): Promise<T> {
  const started = performance.now();
  for (let sleepMs = firstSleepMs; ;) {
    const seen = look();
    if (seen !== undefined) return seen;
    const passedMs = performance.now() - started;
    if (passedMs >= deadlineMs)
      throw new ProcessError("deadline", `${what()} within ${String(Math.round(deadlineMs))} ms`);
    if (passedMs < nappingMs) Atomics.wait(cell, 0, 0, napMs);
    else {
      await sleep(Math.min(sleepMs, Math.max(1, deadlineMs - passedMs)));
      if (passedMs > 20) sleepMs = Math.min(longestSleepMs, sleepMs * 2);
    }
  }
}
