/** Policies of others, to compare with: Uniform Progress (NSDI '24, "Can't Be Late"), greedy, on demand. */
import { type Job, type Place, type Policy, type Seen, idle, mayHop, onDemand } from "./replay.ts";
import type { RegionTrace } from "./traces.ts";

/** The cheapest of `zones` that has spot now, or nothing. */
function cheapest(trace: RegionTrace, zones: readonly number[], row: number): Place {
  let best: Place = idle;
  let price = Number.POSITIVE_INFINITY;
  for (const zone of zones) {
    const here = trace.price[zone]?.[row] ?? price;
    if (trace.up[zone]?.[row] === 1 && here < price) [best, price] = [zone, here];
  }
  return best;
}

/** Spot that may be taken now, within the limit of hops. */
function free(trace: RegionTrace, zones: readonly number[], seen: Seen): Place {
  return mayHop(seen, 3_600_000 / trace.rowMs) ? cheapest(trace, zones, seen.row) : idle;
}

/**
 * Progress in proportion to the time gone. Idle and behind: on demand. Spot is taken when it is there, and kept. On
 * demand is kept until the progress is two changeovers ahead. No slack left: on demand to the end.
 */
export function uniformProgress(trace: RegionTrace, zones: readonly number[], job: Job): Policy {
  const pace = job.work / job.deadline;
  let toTheEnd = false;
  return {
    place(seen) {
      if (seen.place >= 0) return seen.place;
      const left = job.deadline - seen.elapsed;
      if (left < job.work - seen.done + 2 * job.changeover + 1) toTheEnd = true;
      if (toTheEnd) return onDemand;
      const ahead = seen.done - pace * (seen.elapsed + (seen.place === onDemand ? 2 * job.changeover : 0));
      if (seen.place === onDemand && ahead < 0) return onDemand;
      const spot = free(trace, zones, seen);
      if (spot !== idle) return spot;
      return ahead < 0 ? onDemand : idle;
    },
  };
}

/** Spot whenever it is there, and nothing else until no slack is left. */
export function greedy(trace: RegionTrace, zones: readonly number[], job: Job): Policy {
  let toTheEnd = false;
  return {
    place(seen) {
      if (seen.place >= 0) return seen.place;
      if (job.deadline - seen.elapsed < job.work - seen.done + 2 * job.changeover + 1) toTheEnd = true;
      return toTheEnd ? onDemand : free(trace, zones, seen);
    },
  };
}
