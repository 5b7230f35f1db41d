/** When a job that may wait should begin, by the carbon that it is expected to cost. Times are ms since 1970. */
import { type Forecast } from "./carbonForecast.ts";
import { slotMs, slotsPerDay } from "./carbonShape.ts";

export interface WaitingJob {
  /** How long it computes once it has begun, with what its start costs, ms. */
  readonly durationMs: number;
  /** When it must be done. */
  readonly deadlineMs: number;
}

export type Choice =
  | { readonly begin: true; readonly why: "last moment" | "no forecast" | "greenest now" }
  | {
      readonly begin: false;
      /** Ask again then, with the newest row: never after the last moment. */
      readonly untilMs: number;
      /** The beginning that looks best today. */
      readonly plannedMs: number;
    };

/** How far a wait is planned, ms: what a forecast reaches. */
const reachMs = slotsPerDay * slotMs;

/**
 * Begin now, or wait. Asked again each half hour, it uses the newest forecast each time: a plan that turns out worse is
 * left. Without a forecast it begins, since waiting then gains nothing.
 */
export function decide(nowMs: number, job: WaitingJob, forecast: Forecast | undefined): Choice {
  const lastMs = job.deadlineMs - job.durationMs;
  if (!(nowMs < lastMs)) return { begin: true, why: "last moment" };
  if (forecast === undefined) return { begin: true, why: "no forecast" };
  const upTo = emissions(forecast);
  const costs = (from: number): number => upTo(from + job.durationMs) - upTo(from);
  const ends = Math.min(lastMs, nowMs + reachMs);
  let best = costs(nowMs);
  let plannedMs = nowMs;
  for (const from of [...boundaries(nowMs, ends), ends]) {
    const cost = costs(from);
    // A gain below the arithmetic's own error is none.
    if (cost >= best * (1 - 1e-9)) continue;
    best = cost;
    plannedMs = from;
  }
  if (plannedMs === nowMs) return { begin: true, why: "greenest now" };
  return { begin: false, untilMs: Math.min(nextBoundary(nowMs), lastMs), plannedMs };
}

/**
 * Whether a job that can be stopped and continued should compute for the coming half hour. What a stop costs is not
 * weighed: the caller adds it to `durationMs`, or does not interrupt.
 *
 * @param job `durationMs` is what is left to compute
 */
export function computeNow(nowMs: number, job: WaitingJob, forecast: Forecast | undefined): boolean {
  const spare = Math.floor((job.deadlineMs - nowMs) / slotMs) - Math.ceil(job.durationMs / slotMs);
  if (!(spare > 0) || forecast === undefined) return true;
  const upTo = emissions(forecast);
  const now = upTo(nowMs + slotMs) - upTo(nowMs);
  const ends = Math.min(job.deadlineMs, nowMs + reachMs);
  let better = 0;
  for (let from = nowMs + slotMs; from + slotMs <= ends; from += slotMs)
    if (upTo(from + slotMs) - upTo(from) < now * (1 - 1e-9)) better += 1;
  return better < Math.ceil(job.durationMs / slotMs);
}

const nextBoundary = (ms: number): number => (Math.floor(ms / slotMs) + 1) * slotMs;

function* boundaries(after: number, before: number): Generator<number> {
  for (let ms = nextBoundary(after); ms < before; ms += slotMs) yield ms;
}

/** Grams × ms per kWh from the forecast's beginning; after its end each day is like the forecast's last. */
function emissions({ firstSlot, grams }: Forecast): (ms: number) => number {
  const sums = new Float64Array(grams.length + 1);
  grams.forEach((value, slot) => (sums[slot + 1] = (sums[slot] ?? 0) + value * slotMs));
  const wholeMs = grams.length * slotMs;
  return (ms) => {
    const since = ms - firstSlot * slotMs;
    const rounds = Math.floor(since / wholeMs);
    const within = since - rounds * wholeMs;
    const slot = Math.floor(within / slotMs);
    return rounds * (sums[grams.length] ?? 0) + (sums[slot] ?? 0) + (within - slot * slotMs) * (grams[slot] ?? 0);
  };
}
