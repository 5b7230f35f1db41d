/**
 * What each choice is expected to cost, for each amount of work and of slack that a job may have left: dynamic
 * programming over the outlook's steps. Slack is the time that may still be lost. Waiting spends it, and so does every
 * start; computing, wherever, does not. One plan serves all jobs of a region that share price and changeover.
 */
import { downClasses, regionStates, upClasses } from "./ages.ts";
import type { Outlook } from "./outlook.ts";

export interface PlanSize {
  /** Longest work that is planned for, ms. Longer jobs are looked up in proportion. */
  readonly workMs: number;
  /** Most slack that is planned for, ms. More is no worse. */
  readonly slackMs: number;
}

/** Expected cost of what follows, USD, a step from now. */
export interface Plan {
  readonly stepMs: number;
  readonly spotUsdPerHour: number;
  readonly onDemandUsdPerHour: number;
  readonly workSteps: number;
  readonly slackSteps: number;
  /** By work, slack, region state now: idle through the step. */
  readonly idle: Float32Array;
  /** By work, slack, region state now: on demand. */
  readonly onDemand: Float32Array;
  /** By work, slack, age class now: on spot, or just thrown off it. */
  readonly spot: Float32Array;
}

/** Two days of work, with as much slack as a deadline of 80 h leaves: 5.5 MiB. */
export const defaultPlanSize: PlanSize = { workMs: 48 * 3_600_000, slackMs: 32 * 3_600_000 };

/**
 * @param changeoverMs what each start of a machine loses, ms
 * @param onDemandUsdPerHour price on demand, USD/h
 */
export function planOf(
  outlook: Outlook,
  changeoverMs: number,
  onDemandUsdPerHour: number,
  size: PlanSize = defaultPlanSize,
): Plan {
  const { stepMs, follows, stays, goes } = outlook;
  const workSteps = Math.max(1, Math.ceil(size.workMs / stepMs));
  const slackSteps = Math.max(1, Math.ceil(size.slackMs / stepMs));
  const cells = (workSteps + 1) * (slackSteps + 1);
  const idle = new Float32Array(cells * regionStates);
  const onDemand = new Float32Array(cells * regionStates);
  const spot = new Float32Array(cells * upClasses);
  const start = Math.max(1, Math.round(changeoverMs / stepMs));
  const stepHours = stepMs / 3_600_000;
  const [demandStep, spotStep] = [onDemandUsdPerHour * stepHours, outlook.usdPerHour * stepHours];
  // No price for a missed deadline: it only has to be dearer than all else. The rule that keeps it is not in the plan.
  const missed = 10 * demandStep * (workSteps + start);
  const [nowIdle, nowDemand] = [new Float64Array(regionStates), new Float64Array(regionStates)];
  const nowSpot = new Float64Array(upClasses);
  /** By work, slack, age class now: the part of `spot` in which the zone is lost. */
  const lost = new Float32Array(cells * upClasses);
  for (let work = 1; work <= workSteps; work += 1)
    for (let slack = 0; slack <= slackSteps; slack += 1) {
      const cell = work * (slackSteps + 1) + slack;
      const [waited, started, worked] = [cell - 1, cell - start, cell - slackSteps - 1];
      for (let state = 0; state < regionStates; state += 1) {
        const age = state - downClasses;
        let best = missed;
        if (slack >= start) best = start * demandStep + (onDemand[started * regionStates + state] ?? 0);
        if (slack > start) best = Math.min(best, idle[waited * regionStates + state] ?? 0);
        if (slack >= 2 * start && age >= 0)
          best = Math.min(best, start * spotStep + (spot[started * upClasses + age] ?? 0));
        nowIdle[state] = best;
        nowDemand[state] = Math.min(best, demandStep + (onDemand[worked * regionStates + state] ?? 0));
        if (age < 0) continue;
        if (slack < start) {
          nowSpot[age] = best;
          continue;
        }
        // A zone is lost in the middle of a step: half of it worked, half of it wasted.
        const [after, wasted] = [worked * upClasses + age, waited * upClasses + age];
        const half = ((lost[wasted] ?? 0) - (lost[after] ?? 0)) / 2;
        nowSpot[age] = Math.min(best, spotStep + (spot[after] ?? 0) + half);
      }
      expect(idle, cell, follows, nowIdle, regionStates);
      expect(onDemand, cell, follows, nowDemand, regionStates);
      expect(spot, cell, stays, nowSpot, upClasses);
      expect(lost, cell, goes, nowIdle, upClasses);
      expect(spot, cell, goes, nowIdle, upClasses);
    }
  return {
    stepMs,
    spotUsdPerHour: outlook.usdPerHour,
    onDemandUsdPerHour,
    workSteps,
    slackSteps,
    idle,
    onDemand,
    spot,
  };
}

/** Adds to a cell of `into`, for each state it may be in before the step, the mean of `now` after it. */
function expect(into: Float32Array, cell: number, chances: Float64Array, now: Float64Array, states: number): void {
  const width = now.length;
  for (let from = 0; from < states; from += 1) {
    let sum = 0;
    for (let to = 0; to < width; to += 1) sum += (chances[from * width + to] ?? 0) * (now[to] ?? 0);
    const at = cell * states + from;
    into[at] = (into[at] ?? 0) + sum;
  }
}

/** Reads a table between its cells. @param state which of the `states` of a cell @returns USD */
export function costAt(
  plan: Plan,
  table: Float32Array,
  states: number,
  state: number,
  workMs: number,
  slackMs: number,
): number {
  const { workSteps, slackSteps, stepMs } = plan;
  // Longer than planned for: a job as tight, its costs in proportion.
  const longer = Math.max(1, workMs / stepMs / workSteps);
  const work = Math.max(0, workMs / stepMs / longer);
  const slack = Math.min(Math.max(0, slackMs / stepMs / longer), slackSteps);
  const [lowWork, lowSlack] = [Math.floor(work), Math.floor(slack)];
  const [partWork, partSlack] = [work - lowWork, slack - lowSlack];
  const row = (at: number): number => {
    const first = (at * (slackSteps + 1) + lowSlack) * states + state;
    const low = table[first] ?? 0;
    return partSlack === 0 ? low : low + partSlack * ((table[first + states] ?? 0) - low);
  };
  const low = row(lowWork);
  return longer * (partWork === 0 ? low : low + partWork * (row(lowWork + 1) - low));
}
