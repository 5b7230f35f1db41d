import { readFileSync } from "node:fs";

/** Time constant of the kernel's one-minute load average, ms. */
const minuteMs = 60_000;
/** Clock ticks a second of /proc (USER_HZ: 100 on every Linux that Node runs on). */
const ticksPerSec = 100;

/** Processor time of these processes so far, s. */
function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    try {
      const stat = readFileSync(`/proc/${String(pid)}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      // It has ended.
    }
  }
  return ticks / ticksPerSec;
}

/**
 * The part of the load average that the running batch causes itself: cores it used, smoothed like the load average, so
 * that the two can be subtracted.
 */
export class OwnLoad {
  #seconds: number | undefined;
  #atMs = 0;
  #smoothed: number | undefined;

  /** Undefined until a batch was measured twice. */
  get value(): number | undefined {
    return this.#smoothed;
  }

  /** Looks at the batch's processes; `nowMs` is real monotonic time. */
  add(pids: readonly number[], nowMs: number): void {
    const seconds = cpuSeconds(pids);
    const passedMs = nowMs - this.#atMs;
    const before = this.#seconds;
    this.#seconds = seconds;
    this.#atMs = nowMs;
    if (before === undefined || passedMs <= 0) return;
    if (passedMs > minuteMs) {
      this.#smoothed = undefined;
      return;
    }
    const cores = Math.max(0, (seconds - before) / (passedMs / 1000));
    const keep = Math.exp(-passedMs / minuteMs);
    this.#smoothed = (this.#smoothed ?? cores) * keep + cores * (1 - keep);
  }
}
