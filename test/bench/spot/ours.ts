/** Nerve's own decision, replayed: the same `decide` that the agent calls, on what was to be seen at each row. */
import { decide } from "../../../runtime-agent/src/nerve/core/spot/decide.ts";
import { newTally, observe, outlookOf } from "../../../runtime-agent/src/nerve/core/spot/outlook.ts";
import { type Plan, type PlanSize, planOf } from "../../../runtime-agent/src/nerve/core/spot/plan.ts";
import { type SpotPolicy, defaultSpotPolicy } from "../../../runtime-agent/src/nerve/core/spot/types.ts";
import { type Job, type Place, type Policy, idle, onDemand } from "./replay.ts";
import type { RegionTrace } from "./traces.ts";

/** What a job's owner said of it, in rows; the truth may differ. */
export type Told = Pick<Job, "work" | "changeover">;

/**
 * Plans of a region, made anew each day from the rows before that day.
 * @param until row from which on nothing is learnt any more: the last plan stays
 */
export function dailyPlans(
  trace: RegionTrace,
  changeoverMs: number,
  onDemandPrice: number,
  size?: PlanSize,
  until = Number.POSITIVE_INFINITY,
): (row: number) => Plan {
  const tally = newTally(trace.rowMs);
  const day = Math.max(1, Math.round(86_400_000 / trace.rowMs));
  const plans = new Map<number, Plan>();
  let seen = 0;
  let newest = -1;
  return (row) => {
    const today = Math.floor(Math.min(row, until) / day);
    const known = plans.get(today);
    if (known !== undefined) return known;
    if (today <= newest) throw new RangeError(`the plan of day ${String(today)} was dropped: replay starts in order`);
    for (; seen < today * day; seen += 1) observe(tally, rowOf(trace, seen));
    const plan = planOf(outlookOf(tally, onDemandPrice / 2), changeoverMs, onDemandPrice, size);
    plans.set(today, plan);
    // A replay goes back by no more than one job.
    plans.delete(today - 12);
    newest = today;
    return plan;
  };
}

function rowOf(trace: RegionTrace, row: number): { available: boolean; usdPerHour: number }[] {
  return trace.zones.map((_, zone) => ({
    available: trace.up[zone]?.[row] === 1,
    usdPerHour: trace.price[zone]?.[row] ?? 0,
  }));
}

/** By zone, by row: for how many rows the zone has been as it is. */
export function agesOf(trace: RegionTrace): Int32Array[] {
  return trace.up.map((up) => {
    const ages = new Int32Array(trace.rows);
    for (let row = 1; row < trace.rows; row += 1) ages[row] = up[row] === up[row - 1] ? (ages[row - 1] ?? 0) + 1 : 0;
    return ages;
  });
}

/**
 * The policy for one job.
 * @param told what its owner said; the job reports its progress with each row, as the product's helper does
 */
export function ours(
  trace: RegionTrace,
  ages: readonly Int32Array[],
  planAt: (row: number) => Plan,
  told: Told,
  truth: Job,
  set: Partial<SpotPolicy> = {},
): Policy {
  const { rowMs } = trace;
  const policy = { ...defaultSpotPolicy, lookMs: rowMs, ...set };
  const zones = trace.zones.map((zone) => ({ zone, available: false, sinceMs: 0, usdPerHour: 0 }));
  let startsAt = 0;
  let startedIn: Place = idle;
  let doneBefore = 0;
  let longestStartMs: number | undefined;
  let started = false;
  const hopsMs: number[] = [];
  return {
    place({ row, elapsed, done, place }) {
      for (const [zone, now] of zones.entries()) {
        now.available = trace.up[zone]?.[row] === 1;
        now.sinceMs = (ages[zone]?.[row] ?? 0) * rowMs;
        now.usdPerHour = trace.price[zone]?.[row] ?? 0;
      }
      const nowMs = row * rowMs;
      const computes = done > doneBefore;
      // The first row that computed tells how long the start was.
      if (computes && startedIn !== idle) {
        longestStartMs = Math.max(longestStartMs ?? 0, (row - 1 - startsAt) * rowMs);
        startedIn = idle;
      }
      doneBefore = done;
      const warmingMs = startedIn === idle || startedIn !== place ? undefined : (row - startsAt) * rowMs;
      const decision = decide(
        {
          workMs: told.work * rowMs,
          deadlineMs: (row - elapsed + truth.deadline) * rowMs,
          changeoverMs: told.changeover * rowMs,
          atRiskMs: 0,
        },
        {
          place:
            place === idle
              ? { kind: "idle" }
              : place === onDemand
                ? { kind: "on-demand", warmingMs }
                : { kind: "spot", zone: trace.zones[place] ?? "", warmingMs },
          doneMs: done * rowMs,
          reportedShare: done > 0 ? done / truth.work : undefined,
          longestStartMs,
          started,
          hopsMs,
        },
        zones,
        planAt(row),
        policy,
        nowMs,
      );
      const { to } = decision;
      const next = to.kind === "wait" ? idle : to.kind === "on-demand" ? onDemand : trace.zones.indexOf(to.zone);
      if (next !== idle && next !== place) {
        if (next >= 0 && started) hopsMs.push(nowMs);
        [started, startsAt, startedIn] = [true, row, next];
      }
      return next;
    },
  };
}
