/**
 * The bound: the least that a job can cost where the whole trace is known, by exact dynamic programming over the rows.
 * It pays every changeover, and its deadline is as hard as everyone's. The limit of hops is judged on the cheapest
 * plan: one that keeps it is the optimum with the limit too.
 */
import { type Job, mostHopsAnHour } from "./replay.ts";
import type { RegionTrace } from "./traces.ts";

export interface Bound {
  /** USD. */
  readonly cost: number;
  /** False where the cheapest plan hops more often than it may: no plan within the limit costs less than `cost`. */
  readonly keepsLimit: boolean;
}

/**
 * A solver for one region; it keeps its memory from job to job. A state is (row, mode, rows wasted so far): the work
 * done is the row less the waste. Mode 0 is idle, 1 on demand, 2 and more the zones. A start jumps over its changeover,
 * through which its zone must be up. Nothing is allowed that wastes more than the deadline has room for.
 */
export function omniscient(trace: RegionTrace, onDemandPrice: number): (start: number, job: Job) => Bound {
  const rowHours = trace.rowMs / 3_600_000;
  const zones = trace.zones.length;
  const modes = zones + 2;
  const demandRow = onDemandPrice * rowHours;
  let values = new Float64Array(0);
  /** By zone, by row: for how many rows from here on it is up. */
  const lasts = trace.up.map((up) => {
    const last = new Int32Array(trace.rows + 1);
    for (let row = trace.rows - 1; row >= 0; row -= 1) last[row] = up[row] === 1 ? (last[row + 1] ?? 0) + 1 : 0;
    return last;
  });

  /** Cost of a start of mode `mode` at a row, USD; infinite where its zone is gone before it is through. */
  const startCost = (mode: number, row: number, changeover: number): number => {
    if (mode === 1) return demandRow * changeover;
    if ((lasts[mode - 2]?.[row] ?? 0) <= changeover) return Number.POSITIVE_INFINITY;
    let cost = 0;
    for (let n = 0; n < changeover; n += 1) cost += (trace.price[mode - 2]?.[row + n] ?? 0) * rowHours;
    return cost;
  };
  const rowCost = (mode: number, row: number): number => {
    if (mode === 1) return demandRow;
    return trace.up[mode - 2]?.[row] === 1 ? (trace.price[mode - 2]?.[row] ?? 0) * rowHours : Number.POSITIVE_INFINITY;
  };

  return (start, job) => {
    const { work, deadline, changeover } = job;
    const wide = deadline - work + 1;
    const size = (deadline + 1) * modes * wide;
    if (values.length < size) values = new Float64Array(size);
    const v = values;
    for (let t = deadline; t >= 0; t -= 1) {
      const [low, high] = [Math.max(0, t - work), Math.min(t, wide - 1)];
      const at = t * modes * wide;
      const next = at + modes * wide;
      const then = (t + changeover) * modes * wide + changeover;
      // Idle: wait for a row, or start something. The last that may still be wasted is the end of the loops.
      for (let w = low; w <= high; w += 1) v[at + w] = t < deadline && w < wide - 1 ? (v[next + w + 1] ?? 0) : Infinity;
      for (let mode = 1; mode < modes; mode += 1) {
        const cost = t + changeover > deadline ? Infinity : startCost(mode, start + t, changeover);
        if (cost === Infinity) continue;
        const from = then + mode * wide;
        const end = Math.min(high, wide - 1 - changeover);
        for (let w = low; w <= end; w += 1) {
          const other = cost + (v[from + w] ?? 0);
          if (other < (v[at + w] ?? 0)) v[at + w] = other;
        }
      }
      if (t >= work) v[at + t - work] = 0;
      for (let mode = 1; mode < modes; mode += 1) {
        const cost = t < deadline ? rowCost(mode, start + t) : Infinity;
        const here = at + mode * wide;
        const later = next + mode * wide;
        for (let w = low; w <= high; w += 1) {
          const stay = cost + (v[later + w] ?? 0);
          const leave = v[at + w] ?? 0;
          v[here + w] = stay < leave ? stay : leave;
        }
      }
    }
    return { cost: v[0] ?? Number.NaN, keepsLimit: keepsLimit(start, job, wide) };
  };

  /** Follows the cheapest plan through the values; among equals it waits, and so starts late. */
  function keepsLimit(start: number, { work, deadline, changeover }: Job, wide: number): boolean {
    const hops: number[] = [];
    let [t, w, mode, ran] = [0, 0, 0, false];
    const value = (row: number, of: number, wasted: number): number => values[(row * modes + of) * wide + wasted] ?? 0;
    while (t - w < work && t < deadline) {
      const idle = value(t, 0, w);
      if (mode > 0 && value(t, mode, w) < idle) {
        t += 1;
        continue;
      }
      mode = 0;
      if (w < wide - 1 && value(t + 1, 0, w + 1) <= idle) {
        t += 1;
        w += 1;
        continue;
      }
      mode = 1;
      for (let zone = 2; zone < modes; zone += 1)
        if (startCost(zone, start + t, changeover) + value(t + changeover, zone, w + changeover) <= idle) mode = zone;
      if (mode > 1 && ran) hops.push(t);
      ran = true;
      t += changeover;
      w += changeover;
    }
    const hour = 3_600_000 / trace.rowMs;
    return hops.every((hop, n) => n < mostHopsAnHour || hop - (hops[n - mostHopsAnHour] ?? 0) >= hour);
  }
}
