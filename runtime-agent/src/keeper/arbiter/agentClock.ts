/** The clock of the daemon, and the one that a lab puts in its place. */
import { readFileSync } from "node:fs";
import type { Clock } from "../../shared/clock.ts";
import { realClock } from "../../shared/clock.ts";

/** Monotonic time since the machine's start (CLOCK_MONOTONIC), so that it goes on when the agent is started anew. */
function bootClock(): Clock {
  const { wallMs, sleep } = realClock();
  return { wallMs, sleep, monotonicMs: () => Number(process.hrtime.bigint() / 1000n) / 1000 };
}

/**
 * The daemon's clock: `base`, or for the lab what `HIVE_LAB_CLOCK` makes of it. It moves the calendar and nothing else:
 *
 * - `2026-11-20T22:58:00+01:00,60` begins there and runs 60 times as fast; leases, deadlines and the loop stay as they are;
 * - `…,60,all` makes every clock of the loop that fast: a simulated day in minutes;
 * - `/path/of/file` adds the milliseconds that the file holds to the machine's clock, looked up each time.
 *
 * @throws RangeError for a value that is none of these
 */
export function agentClock(env: NodeJS.ProcessEnv = process.env, base = bootClock()): Clock {
  const { HIVE_LAB_CLOCK: lab } = env;
  if (lab === undefined || lab === "") return base;
  if (lab.startsWith("/")) return { ...base, wallMs: () => base.wallMs() + offsetIn(lab) };
  const [start = "", rateText = "", which] = lab.split(",");
  const [startMs, rate] = [Date.parse(start), Number(rateText)];
  if (Number.isNaN(startMs) || !(rate > 0 && rate <= 100_000) || (which !== undefined && which !== "all")) {
    throw new RangeError("HIVE_LAB_CLOCK: write ISO_START,RATE or ISO_START,RATE,all or the path of an offset file");
  }
  const from = base.monotonicMs();
  const wallMs = (): number => startMs + (base.monotonicMs() - from) * rate;
  if (which === undefined) return { ...base, wallMs };
  return {
    wallMs,
    monotonicMs: () => base.monotonicMs() * rate,
    sleep: (ms, signal) => base.sleep(ms / rate, signal),
  };
}

function offsetIn(file: string): number {
  try {
    const offset = Number(readFileSync(file, "utf8").trim());
    return Number.isFinite(offset) ? offset : 0;
  } catch {
    return 0;
  }
}

/** Names this start of the machine; monotonic times of another one mean nothing. */
export function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "unknown";
  }
}
