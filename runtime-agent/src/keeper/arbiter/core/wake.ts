import type { ArbiterConfig } from "./config.ts";
import type { ArbiterState } from "./state.ts";

/**
 * The earliest monotonic time, ms, at which the passing of time alone changes something: a deadline, the end of a
 * lease, a turn, a scan, a retry. Calendar, load and heat are seen by the regular loop. Undefined when nothing is due.
 */
export function wakeAtMs(state: ArbiterState, config: ArbiterConfig): number | undefined {
  let earliest = Number.POSITIVE_INFINITY;
  const at = (ms: number | null | undefined): void => {
    if (ms !== null && ms !== undefined && ms > state.nowMs && ms < earliest) earliest = ms;
  };
  for (const hold of Object.values(state.holds)) {
    at(hold.step?.deadlineMs);
    if (hold.phase !== "running") continue;
    at(hold.untilMs);
    at(hold.sinceMs + config.queue.turnMs + hold.turnFromMs - hold.usedMs);
  }
  for (const startAtMs of Object.values(state.startAtMs)) at(startAtMs);
  at(state.power.retryAtMs);
  return Number.isFinite(earliest) ? earliest : undefined;
}
