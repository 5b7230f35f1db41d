/** Replays a year of jobs over a series: every hour one is handed in, and each policy says when it begins. */
import { CarbonForecaster, type Forecast } from "../../../runtime-agent/src/nerve/core/carbonForecast.ts";
import { slotMs, slotsPerDay } from "../../../runtime-agent/src/nerve/core/carbonShape.ts";
import { computeNow, decide } from "../../../runtime-agent/src/nerve/core/carbonShift.ts";
import { type CarbonSeries } from "./series.ts";

/** Half hours that a job computes, and within which it must be done. */
const work = 8;
const within = 48;
const slack = within - work;
/** Jobs are handed in every hour. */
const every = 2;
/** Half hours of history before the first job that is judged: each hour of the week twice. */
export const warmUp = 14 * slotsPerDay;

/** What a policy did: half hours that were computed, for a job handed in at a row. */
type Policy = (row: number) => readonly number[];

const block = (row: number): number[] => Array.from({ length: work }, (_, half) => row + half);

/** The forecasts that were to be had before each row, from the rows before it only. */
export function forecastsOf({ firstSlot, grams }: CarbonSeries): (Forecast | undefined)[] {
  const forecaster = new CarbonForecaster(firstSlot);
  return Array.from(grams, (value) => {
    const known = forecaster.forecast();
    forecaster.observe(Number.isNaN(value) ? undefined : value);
    return known;
  });
}

/** The row at which production's own decision begins a job, asked again each time that it says so. */
export function beginOf(series: CarbonSeries, forecasts: readonly (Forecast | undefined)[], row: number): number {
  const at = (index: number): number => (series.firstSlot + index) * slotMs;
  const job = { durationMs: work * slotMs, deadlineMs: at(row + within) };
  for (let now = row; ;) {
    const choice = decide(at(now), job, forecasts[now]);
    if (choice.begin) return now;
    now = choice.untilMs / slotMs - series.firstSlot;
  }
}

/** The half hours in which a job computes that may be stopped and continued at no cost. */
export function halvesOf(series: CarbonSeries, forecasts: readonly (Forecast | undefined)[], row: number): number[] {
  const at = (index: number): number => (series.firstSlot + index) * slotMs;
  const taken: number[] = [];
  for (let now = row; taken.length < work; now += 1) {
    const job = { durationMs: (work - taken.length) * slotMs, deadlineMs: at(row + within) };
    if (computeNow(at(now), job, forecasts[now])) taken.push(now);
  }
  return taken;
}

export interface Replay {
  readonly jobs: number;
  /** Jobs that would have been done after their deadline. */
  readonly late: number;
  /** Saved of what beginning at once emits, percent. */
  readonly saved: Readonly<
    Record<"ours" | "oracle" | "persistence" | "fixed" | "interruptible" | "freeOracle", number>
  >;
  /** The hour (UTC) of the best fixed window, known only afterwards. */
  readonly fixedHour: number;
}

/** @throws Error when the series is too short to be judged */
export function replay(series: CarbonSeries, from = warmUp): Replay {
  const grams = filled(series.grams);
  const rows: number[] = [];
  for (let row = from; row + within <= grams.length; row += every) rows.push(row);
  if (rows.length === 0)
    throw new Error(`the series has ${String(grams.length)} half hours; it needs ${String(from + within)} or more`);
  const forecasts = forecastsOf(series);
  let late = 0;
  const emitted = (policy: Policy): number => {
    let sum = 0;
    for (const row of rows) {
      const halves = policy(row);
      for (const half of halves) sum += grams[half] ?? 0;
      if ((halves.at(-1) ?? row) >= row + within) late += 1;
    }
    return sum;
  };
  const atOnce = emitted(block);
  const saved = (policy: Policy): number => 100 * (1 - emitted(policy) / atOnce);
  let [fixed, fixedHour] = [-Infinity, 0];
  for (let time = 0; time < slotsPerDay; time += 1)
    // A window that begins too late for a job's deadline: it begins at its last moment, or at once; the better is the rival.
    for (const otherwise of [slack, 0]) {
      const gain = saved((row) => {
        const wait = (((time - series.firstSlot - row) % slotsPerDay) + slotsPerDay) % slotsPerDay;
        return block(row + (wait <= slack ? wait : otherwise));
      });
      if (gain > fixed) [fixed, fixedHour] = [gain, time / 2];
    }
  const window = (values: Float64Array): Policy => {
    const sums = prefixes(values);
    return (row) => block(cheapest(sums, row));
  };
  return {
    jobs: rows.length,
    saved: {
      ours: saved((row) => block(beginOf(series, forecasts, row))),
      oracle: saved(window(grams)),
      persistence: saved(window(grams.map((_, row) => grams[Math.max(0, row - slotsPerDay)] ?? 0))),
      fixed,
      interruptible: saved((row) => halvesOf(series, forecasts, row)),
      freeOracle: saved((row) => cheapestHalves(grams, row)),
    },
    fixedHour,
    late,
  };
}

/** Missing values as the newest before them: a judge needs a value, and there are few. */
function filled(grams: Float64Array): Float64Array {
  let last = 0;
  return grams.map((value) => (last = Number.isNaN(value) ? last : value));
}

function prefixes(values: Float64Array): Float64Array {
  const sums = new Float64Array(values.length + 1);
  values.forEach((value, row) => (sums[row + 1] = (sums[row] ?? 0) + value));
  return sums;
}

function cheapest(sums: Float64Array, row: number): number {
  const costs = (from: number): number => (sums[from + work] ?? 0) - (sums[from] ?? 0);
  let best = row;
  for (let from = row + 1; from <= row + slack; from += 1) if (costs(from) < costs(best)) best = from;
  return best;
}

function cheapestHalves(grams: Float64Array, row: number): number[] {
  const halves = Array.from({ length: within }, (_, half) => row + half);
  return halves
    .sort((a, b) => (grams[a] ?? 0) - (grams[b] ?? 0))
    .slice(0, work)
    .sort((a, b) => a - b);
}
