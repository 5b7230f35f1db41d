/** Replays one job on one region's trace, row by row, and bills it. Every policy and the bound live by these rules. */
import type { RegionTrace } from "./traces.ts";

/** Where a job is: in a zone on spot (its index), on demand, or nowhere. */
export type Place = number;
export const idle: Place = -2;
export const onDemand: Place = -1;

/** A job in whole rows of the trace. */
export interface Job {
  /** What it really computes. */
  readonly work: number;
  /** From its start to its deadline. */
  readonly deadline: number;
  /** What each start of a machine really loses: boot, image, checkpoint. */
  readonly changeover: number;
}

/** A job's state as a policy may see it, at the beginning of a row, after this row's availability is known. */
export interface Seen {
  row: number;
  /** Rows since the job's start. */
  elapsed: number;
  done: number;
  place: Place;
  /** Zone where it last ran, -1 before the first. */
  lastZone: number;
  /** Rows of changeover that the running machine still has before it. */
  warming: number;
  /** Rows of its last two hops; far in the past while there are none. */
  lastHop: number;
  hopBefore: number;
}

export interface Policy {
  /** Where the job is to be in this row. */
  place(seen: Seen): Place;
}

export interface Outcome {
  /** USD. */
  cost: number;
  /** Rows from start to end. */
  took: number;
  hops: number;
  spotRows: number;
  onDemandRows: number;
  /** True where the policy hopped a third time within an hour. */
  brokeLimit: boolean;
}

export const mostHopsAnHour = 2;
const never = -1e9;

/** True where a hop now would be at most the second in an hour. */
export function mayHop(seen: Seen, rowsAnHour: number): boolean {
  return seen.lastZone < 0 || seen.row - seen.hopBefore >= rowsAnHour;
}

/**
 * A hop is every start on spot but the first, in the same zone or in another: each moves the pod. Starts on demand are
 * the promise of the deadline and no hops; they are where the job last was.
 */
export function replay(trace: RegionTrace, start: number, job: Job, onDemandPrice: number, policy: Policy): Outcome {
  const rowHours = trace.rowMs / 3_600_000;
  const rowsAnHour = 1 / rowHours;
  const seen: Seen = {
    row: start,
    elapsed: 0,
    done: 0,
    place: idle,
    lastZone: -1,
    warming: 0,
    lastHop: never,
    hopBefore: never,
  };
  const outcome: Outcome = { cost: 0, took: 0, hops: 0, spotRows: 0, onDemandRows: 0, brokeLimit: false };
  // Nobody waits for ever: a policy that never ends is late, and ends on demand.
  const last = job.deadline + job.work + job.changeover;
  for (; seen.done < job.work; seen.row += 1, seen.elapsed += 1) {
    const isUp = (zone: number): boolean => trace.up[zone]?.[seen.row] === 1;
    if (seen.place >= 0 && !isUp(seen.place)) seen.place = idle;
    let next = seen.elapsed > last ? onDemand : policy.place(seen);
    if (next >= 0 && !isUp(next)) next = idle;
    if (next !== seen.place && next !== idle) {
      if (next >= 0 && (seen.lastZone >= 0 || outcome.onDemandRows > 0)) {
        if (seen.row - seen.hopBefore < rowsAnHour) outcome.brokeLimit = true;
        seen.hopBefore = seen.lastHop;
        seen.lastHop = seen.row;
        outcome.hops += 1;
      }
      seen.warming = job.changeover;
      if (next >= 0) seen.lastZone = next;
    }
    seen.place = next;
    if (next === idle) continue;
    outcome.cost += rowHours * (next === onDemand ? onDemandPrice : (trace.price[next]?.[seen.row] ?? 0));
    if (next === onDemand) outcome.onDemandRows += 1;
    else outcome.spotRows += 1;
    if (seen.warming > 0) seen.warming -= 1;
    else seen.done += 1;
  }
  outcome.took = seen.elapsed;
  return outcome;
}
