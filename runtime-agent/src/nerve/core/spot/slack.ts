/** The hard part of the promise: what may be lost before the deadline is. No prediction is in it. */
import type { JobState, SpotJob, SpotPolicy } from "./types.ts";

const hourMs = 3_600_000;

export interface Slack {
  /** Work left, as far as is known, ms. */
  readonly leftMs: number;
  /** Time to the deadline less the work left, ms. */
  readonly slackMs: number;
  /** The same with everything that is not yet known at its worst, ms. */
  readonly safeSlackMs: number;
  /** What a start is expected to lose, ms. */
  readonly startMs: number;
  /** What it may lose at worst, ms. */
  readonly worstStartMs: number;
  /** What is left of the start that goes on now, ms. */
  readonly restMs: number;
  /** The same at worst, ms. */
  readonly worstRestMs: number;
}

/** What a job may still lose. A progress that the job has reported is believed; until then its margin counts. */
export function slackOf(job: SpotJob, state: JobState, policy: SpotPolicy, nowMs: number): Slack {
  const { doneMs, reportedShare, longestStartMs } = state;
  const reported = reportedShare !== undefined && reportedShare > 0 && doneMs > 0;
  const total = reported ? doneMs / Math.min(1, reportedShare) : job.workMs;
  const worstTotal = reported ? total : job.workMs * (1 + policy.workMargin);
  const startMs = Math.max(job.changeoverMs, longestStartMs ?? 0);
  const worstStartMs = longestStartMs === undefined ? job.changeoverMs * policy.startMargin : startMs;
  const warming = state.place.kind === "idle" ? undefined : state.place.warmingMs;
  const timeMs = job.deadlineMs - nowMs;
  // Beyond its margin a job that reports nothing is taken to end soon: nothing is known, so nothing is promised.
  const leftMs = Math.max(total - doneMs, reported ? 0 : policy.lookMs);
  const worstLeftMs = Math.max(worstTotal - doneMs, leftMs);
  const rest = (whole: number): number => (warming === undefined ? 0 : Math.max(0, whole - warming));
  return {
    leftMs,
    slackMs: timeMs - leftMs,
    safeSlackMs: timeMs - worstLeftMs,
    startMs,
    worstStartMs,
    restMs: rest(startMs),
    worstRestMs: rest(worstStartMs),
  };
}

/** Whether a start on spot now stays within the limit: the first start is no hop, each later one is. */
export function mayHop(state: JobState, policy: SpotPolicy, nowMs: number): boolean {
  if (!state.started) return true;
  if (policy.hopsPerHour < 1) return false;
  const earliest = state.hopsMs.at(-policy.hopsPerHour);
  return earliest === undefined || nowMs - earliest >= hourMs;
}
