/** Replays many starts of one region, for each ratio of job to deadline, under each policy and each trouble. */
import { greedy, uniformProgress } from "./baselines.ts";
import { ShortTrace, type Trouble, troubles, truthOf } from "./injected.ts";
import { omniscient } from "./omniscient.ts";
import { agesOf, dailyPlans, ours } from "./ours.ts";
import { type Job, type Outcome, type Policy, onDemand, replay } from "./replay.ts";
import type { RegionTrace } from "./traces.ts";

/** The job of the benchmark, as "Can't Be Late" and the anchors have it. */
export const jobMs = 48 * 3_600_000;
export const changeoverMs = 13 * 60_000;
/** Job to deadline: how tight it is. */
export const ratios = [0.9, 0.75, 0.6] as const;
/** What is learnt, is learnt from the rows of these first days; starts are judged on later ones. */
export const learnMs = 15 * 86_400_000;

const policies = ["ours", "uniformProgress", "uniformProgressOneZone", "greedy", "onDemand"] as const;
type PolicyName = (typeof policies)[number];

/** Sums over the starts of a cell, under one policy. */
interface Sums {
  starts: number;
  usd: number;
  late: number;
  hops: number;
  spotRows: number;
  rows: number;
  brokeLimit: number;
}

export interface Cell {
  readonly region: string;
  readonly ratio: number;
  readonly sums: Readonly<Record<PolicyName, Sums>>;
  /** The omniscient bound. */
  readonly bound: { usd: number; beyondLimit: number };
  /** Ours, with trouble: starts where on demand from the beginning would have been in time, and those that were late. */
  readonly trouble: Readonly<Record<Trouble, { starts: number; late: number }>>;
}

/** The benchmark's job in whole rows of a trace. */
export function jobOf(trace: RegionTrace, ratio: number): Job {
  const work = Math.max(1, Math.round(jobMs / trace.rowMs));
  return { work, deadline: Math.floor(work / ratio), changeover: Math.ceil(changeoverMs / trace.rowMs) };
}

/** Rows of a trace in which a job of this ratio may start and be judged. */
export function judged(trace: RegionTrace, ratio: number): { readonly from: number; readonly to: number } {
  const from = Math.ceil(learnMs / trace.rowMs);
  return { from, to: Math.max(from, trace.rows - jobOf(trace, ratio).deadline + 1) };
}

const none = (): Sums => ({ starts: 0, usd: 0, late: 0, hops: 0, spotRows: 0, rows: 0, brokeLimit: 0 });

/**
 * @param stride rows between two starts
 * @param onDemandPrice USD/h
 */
export function cellsOf(
  trace: RegionTrace,
  stride: number,
  onDemandPrice: number,
  say: (line: string) => void,
): Cell[] {
  const all = trace.zones.map((_, zone) => zone);
  const ages = agesOf(trace);
  const short = new ShortTrace(trace);
  const plans = dailyPlans(trace, changeoverMs, onDemandPrice, undefined, Math.ceil(learnMs / trace.rowMs));
  const bound = omniscient(trace, onDemandPrice);
  const always: Policy = { place: () => onDemand };
  const cells: Cell[] = ratios.map((ratio) => ({
    region: trace.region,
    ratio,
    sums: { ours: none(), uniformProgress: none(), uniformProgressOneZone: none(), greedy: none(), onDemand: none() },
    bound: { usd: 0, beyondLimit: 0 },
    trouble: {
      changeover: { starts: 0, late: 0 },
      runtime: { starts: 0, late: 0 },
      shortage: { starts: 0, late: 0 },
      all: { starts: 0, late: 0 },
    },
  }));
  const { from, to } = judged(trace, Math.max(...ratios));
  let n = 0;
  for (let start = from; start < to; start += stride, n += 1) {
    if (n % 250 === 0) say(`${trace.region}: day ${((start * trace.rowMs) / 86_400_000).toFixed(1)}`);
    for (const cell of cells) {
      if (start >= judged(trace, cell.ratio).to) continue;
      const job = jobOf(trace, cell.ratio);
      const run = (policy: Policy): Outcome => replay(trace, start, job, onDemandPrice, policy);
      add(cell.sums.ours, run(ours(trace, ages, plans, job, job)), job);
      add(cell.sums.uniformProgress, run(uniformProgress(trace, all, job)), job);
      for (const zone of all) add(cell.sums.uniformProgressOneZone, run(uniformProgress(trace, [zone], job)), job);
      add(cell.sums.greedy, run(greedy(trace, all, job)), job);
      add(cell.sums.onDemand, run(always), job);
      const least = bound(start, job);
      cell.bound.usd += least.cost;
      if (!least.keepsLimit) cell.bound.beyondLimit += 1;
      for (const trouble of troubles) {
        const truth = truthOf(trouble, job, job.deadline, n);
        const shortFrom = start + Math.floor((job.deadline * (n % 8)) / 8);
        const policy = (): Outcome =>
          replay(short.trace, start, truth, onDemandPrice, ours(short.trace, short.ages, plans, job, truth));
        const outcome =
          trouble === "shortage" || trouble === "all"
            ? short.without(shortFrom, start + job.deadline, policy)
            : policy();
        // What nobody could have kept is no test.
        if (!isFeasible(truth)) continue;
        cell.trouble[trouble].starts += 1;
        if (isLate(outcome, truth)) cell.trouble[trouble].late += 1;
      }
    }
  }
  return cells;
}

/** Whether on demand from the beginning would have been in time. */
function isFeasible(job: Job): boolean {
  return job.work + job.changeover <= job.deadline;
}

/** Late, where on demand from the beginning would not have been. */
function isLate(outcome: Outcome, job: Job): boolean {
  return outcome.took > job.deadline && isFeasible(job);
}

function add(sums: Sums, outcome: Outcome, job: Job): void {
  sums.starts += 1;
  sums.usd += outcome.cost;
  sums.hops += outcome.hops;
  sums.spotRows += outcome.spotRows;
  sums.rows += outcome.spotRows + outcome.onDemandRows;
  if (isLate(outcome, job)) sums.late += 1;
  if (outcome.brokeLimit) sums.brokeLimit += 1;
}

/** A cell as a row of the document: savings and shares of spot in percent, hops a job. */
export function rowOfCell(cell: Cell): Readonly<Record<string, unknown>> {
  const { sums, bound, trouble } = cell;
  const { starts } = sums.ours;
  const onDemandUsd = sums.onDemand.usd / starts;
  const saved = (usd: number): number => rounded(100 * (1 - usd / onDemandUsd));
  const of = (name: PolicyName): object => {
    const { starts: count, usd, late, hops, spotRows, rows } = sums[name];
    return {
      savedPercent: saved(usd / count),
      late,
      hopsPerJob: rounded(hops / count),
      spotPercent: rounded((100 * spotRows) / rows),
    };
  };
  return {
    region: cell.region,
    jobToDeadline: cell.ratio,
    starts,
    onDemandUsdPerJob: rounded(onDemandUsd),
    dividedBy: rounded(sums.onDemand.usd / sums.ours.usd),
    pointsOverUniformProgress: rounded(pointsOf(cell)),
    gapClosedShare: rounded((sums.uniformProgress.usd - sums.ours.usd) / (sums.uniformProgress.usd - bound.usd)),
    ...Object.fromEntries(policies.map((name) => [name, of(name)])),
    omniscient: { savedPercent: saved(bound.usd / starts), beyondHopLimit: bound.beyondLimit },
    lateWith: Object.fromEntries(troubles.map((name) => [name, trouble[name].late])),
  };
}

/** Percent of the on-demand bill that ours saves more than Uniform Progress with all zones. */
export function pointsOf({ sums }: Cell): number {
  return (100 * (sums.uniformProgress.usd - sums.ours.usd)) / sums.onDemand.usd;
}

const rounded = (value: number): number => Math.round(value * 1000) / 1000;
