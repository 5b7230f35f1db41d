/**
 * Learns a region's spot market from the rows seen so far, and nothing else: how its states follow each other, how long
 * a zone of some age stays, and what follows when it goes.
 */
import { ageClass, classSpan, downClasses, regionState, regionStates, upClasses } from "./ages.ts";

/** What was counted in the rows so far. Plain numbers: it is saved and loaded as it is. */
export interface Tally {
  readonly rowMs: number;
  /** Rows in a step of the outlook. */
  readonly lag: number;
  /** By region state and the state a step later. */
  readonly follows: number[];
  /** By age class of a zone that is up, and its class a step later where it stayed up all the time. */
  readonly stays: number[];
  /** By age class of a zone that is up, and the region's state a step later where it did not. */
  readonly goes: number[];
  /** The last rows, newest last: the region's state, and of each zone for how many rows it is up, -1 where it is not. */
  readonly recent: { readonly state: number; readonly upRows: readonly number[] }[];
  downRows: number;
  /** Mean price of spot that was to be had, USD/h, days long gone forgotten; undefined before the first. */
  usdPerHour: number | undefined;
}

/** How the market goes on from here, a step at a time. All rows sum to one. */
export interface Outlook {
  readonly stepMs: number;
  /** Region state to region state. */
  readonly follows: Float64Array;
  /** A running zone's age class to its next one: it survives the step. */
  readonly stays: Float64Array;
  /** A running zone's age class to the region's state after the job has lost it. With `stays` it sums to one. */
  readonly goes: Float64Array;
  /** What spot cost lately, USD/h. */
  readonly usdPerHour: number;
}

/** A step is long enough to hide the recorder's noise, and about one changeover. */
const stepMs = 13 * 60_000;
/** Steps that the prior is worth in each state: it speaks where little was seen. */
const priorSteps = 8;
/** Prices of a day ago count half. */
const priceHalfLifeMs = 86_400_000;

/** @param rowMs time between two rows, ms */
export function newTally(rowMs: number): Tally {
  return {
    rowMs,
    lag: Math.max(1, Math.round(stepMs / rowMs)),
    follows: new Array<number>(regionStates * regionStates).fill(0),
    stays: new Array<number>(upClasses * upClasses).fill(0),
    goes: new Array<number>(upClasses * regionStates).fill(0),
    recent: [],
    downRows: 0,
    usdPerHour: undefined,
  };
}

/** Counts one more row. @param zones in the same order each time; the price of one that is not up is not looked at */
export function observe(
  tally: Tally,
  zones: readonly { readonly available: boolean; readonly usdPerHour: number }[],
): void {
  const { rowMs, lag, recent } = tally;
  const before = recent.at(-1)?.upRows;
  const upRows = zones.map(({ available }, zone) => (available ? (before?.[zone] ?? -1) + 1 : -1));
  const oldest = Math.max(-1, ...upRows);
  tally.downRows = oldest < 0 ? tally.downRows + 1 : 0;
  const state = regionState(oldest * rowMs, (tally.downRows - 1) * rowMs);
  recent.push({ state, upRows });
  if (recent.length > lag + 1) recent.shift();
  const then = recent[0];
  if (then !== undefined && recent.length === lag + 1) {
    count(tally.follows, then.state * regionStates + state);
    for (const [zone, rows] of then.upRows.entries()) {
      if (rows < 0) continue;
      const from = ageClass(rows * rowMs, upClasses);
      const now = upRows[zone] ?? -1;
      if (now === rows + lag) count(tally.stays, from * upClasses + ageClass(now * rowMs, upClasses));
      else count(tally.goes, from * regionStates + state);
    }
  }
  const up = zones.filter(({ available }) => available);
  if (up.length === 0) return;
  const mean = up.reduce((sum, { usdPerHour }) => sum + usdPerHour, 0) / up.length;
  const kept = tally.usdPerHour === undefined ? 0 : 2 ** (-rowMs / priceHalfLifeMs);
  tally.usdPerHour = kept * (tally.usdPerHour ?? 0) + (1 - kept) * mean;
}

function count(counts: number[], at: number): void {
  counts[at] = (counts[at] ?? 0) + 1;
}

/**
 * What the rows so far say of the steps to come, with a prior: what has lasted for a time t ends within the next step
 * about as often as a step is long against 2 t. Half of what a zone loses is caught by another zone.
 * @param fallbackUsdPerHour price where none was seen yet
 */
export function outlookOf(tally: Tally, fallbackUsdPerHour: number): Outlook {
  const step = tally.lag * tally.rowMs;
  const follows = Float64Array.from(tally.follows);
  const stays = Float64Array.from(tally.stays);
  const goes = Float64Array.from(tally.goes);
  const weight = priorSteps * tally.lag;
  const add = (into: Float64Array, at: number, share: number): void => {
    into[at] = (into[at] ?? 0) + weight * share;
  };
  const youngUp = downClasses;
  for (let age = 0; age < upClasses; age += 1) {
    const { ends, older } = ending(age, step);
    const next = Math.min(age + 1, upClasses - 1);
    add(stays, age * upClasses + next, (1 - ends) * older);
    add(stays, age * upClasses + age, (1 - ends) * (1 - older));
    add(goes, age * regionStates, ends / 2);
    add(goes, age * regionStates + youngUp + Math.floor(upClasses / 2), ends / 2);
    const at = (downClasses + age) * regionStates;
    add(follows, at, ends / 4);
    add(follows, at + youngUp, ends / 4);
    add(follows, at + downClasses + next, (1 - ends / 2) * older);
    add(follows, at + downClasses + age, (1 - ends / 2) * (1 - older));
  }
  for (let age = 0; age < downClasses; age += 1) {
    const { ends, older } = ending(age, step);
    const next = Math.min(age + 1, downClasses - 1);
    add(follows, age * regionStates + youngUp, ends);
    add(follows, age * regionStates + next, (1 - ends) * older);
    add(follows, age * regionStates + age, (1 - ends) * (1 - older));
  }
  for (let state = 0; state < regionStates; state += 1) scale([follows], [regionStates], state);
  for (let age = 0; age < upClasses; age += 1) scale([stays, goes], [upClasses, regionStates], age);
  return { stepMs: step, follows, stays, goes, usdPerHour: tally.usdPerHour ?? fallbackUsdPerHour };
}

/** The prior's word on a class: how much of it ends within a step, and how much moves on to the next class. */
function ending(age: number, step: number): { readonly ends: number; readonly older: number } {
  const { from, to } = classSpan(age);
  const [middle, width] = [((from + to) / 2) * 60_000, (to - from) * 60_000];
  return { ends: Math.min(0.3, (0.5 * step) / (middle + step)), older: Math.min(1, step / width) };
}

/** Makes row `row` of the tables, together, sum to one. */
function scale(tables: readonly Float64Array[], widths: readonly number[], row: number): void {
  const parts = tables.map((table, n) => {
    const width = widths[n] ?? 0;
    return table.subarray(row * width, (row + 1) * width);
  });
  const sum = parts.reduce((all, part) => all + part.reduce((a, b) => a + b, 0), 0);
  for (const part of parts) for (let n = 0; n < part.length; n += 1) part[n] = (part[n] ?? 0) / sum;
}
