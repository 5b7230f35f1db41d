/**
 * What a runner does next. Pure: changes to journal first, then actions to carry out. One run at a time.
 *
 * A run is marked as running, with what tells its start from the one before it, before it is started. So whoever comes
 * after a crash knows of every start that may have been made, and asks systemd whether it was.
 */
import { mostBodyBytes, type RunReport } from "../../../../components/shared/signals/protocol.ts";
import { isOver, judge, startsOf, type Judgement, type UnitSeen } from "./judge.ts";
import type { Change, Run, RunnerState } from "./state.ts";

/** What the agent left behind at the end of a run. */
export type ResultSeen =
  | { readonly kind: "none" }
  | { readonly kind: "json"; readonly value: RunReport["result"] }
  | { readonly kind: "bad"; readonly reason: string };

export type RunnerEvent =
  /** systemd refused the start. */
  | { readonly kind: "refused"; readonly runId: string; readonly reason: string }
  /** What was left at the end of a run; `unit` is the look that told of the end. */
  | {
      readonly kind: "left";
      readonly runId: string;
      readonly unit: UnitSeen;
      readonly oomKills: number;
      readonly result: ResultSeen;
      readonly logTail: string;
    }
  /** A resident agent's answer, or what came in its place. */
  | {
      readonly kind: "answered";
      readonly runId: string;
      readonly oomKills: number;
      readonly logTail: string;
      readonly answer:
        | { readonly kind: "ok"; readonly value: RunReport["result"] }
        | { readonly kind: "error"; readonly reason: string }
        /** Nothing was handed over. */
        | { readonly kind: "unreachable"; readonly reason: string }
        /** It was handed over, and no answer came. */
        | { readonly kind: "broken"; readonly reason: string };
    }
  /** The Sentinel has the report. */
  | { readonly kind: "delivered"; readonly runId: string }
  | { readonly kind: "expires"; readonly expiresMs: number };

export interface Rules {
  readonly mode: "job" | "resident";
  readonly idempotent: boolean;
}

export interface Now {
  /** Unix ms, whole. */
  readonly wallMs: number;
  readonly boot: string;
  /** Kills so far, for the next run's count. */
  readonly oomKills: number;
  /** The newest look at a job's unit since the last action ended; undefined when there is none. */
  readonly unit: UnitSeen | undefined;
  /** False for a while after a start that came to nothing. */
  readonly canStart: boolean;
  /** The run that an action of this process is at work on. */
  readonly busyWith: string | undefined;
}

export type Action =
  /** Write the run's files, start the unit. */
  | { readonly kind: "start"; readonly run: Run; readonly payload: string }
  /** Hand the payload to the resident agent, wait for its answer. */
  | { readonly kind: "send"; readonly run: Run; readonly payload: string }
  /** Read what the run left. */
  | { readonly kind: "collect"; readonly run: Run; readonly unit: UnitSeen };

export interface Outcome {
  readonly changes: readonly Change[];
  readonly actions: readonly Action[];
}

/** An interrupted run is done again so often; then its agent, or its server, is what is wrong. */
export const mostInterruptions = 5;
/** While so much waits for the Sentinel, no further run begins, bytes. */
export const mostOutboxBytes = 8 * 1024 * 1024;

/** A report within the limit of a message: the log's oldest part gives way, it is there to be asked for. */
function bounded(report: RunReport): RunReport {
  let fit = report;
  while (Buffer.byteLength(JSON.stringify(fit)) > mostBodyBytes && fit.logTail !== "") {
    fit = { ...fit, logTail: fit.logTail.slice(Math.ceil(fit.logTail.length / 2)).toWellFormed() };
  }
  if (Buffer.byteLength(JSON.stringify(fit)) <= mostBodyBytes) return fit;
  return { ...fit, state: "failed", result: null, reason: "its result is longer than a message may be" };
}

interface End {
  readonly state: "completed" | "failed" | "interrupted";
  readonly exit: RunReport["exit"];
  readonly reason: string | null;
  readonly result: RunReport["result"];
  readonly oomKills: number;
  /** Of the agent, since the run was begun this time. */
  readonly starts: number;
  readonly logTail: string;
}

/** Kills in a run. The count falls to 0 when the group is made anew. */
function killsIn(run: Run, oomKills: number): number {
  return oomKills >= run.oomKillsBefore ? oomKills - run.oomKillsBefore : oomKills;
}

function ended(run: Run, end: End, wallMs: number): Change {
  const { state, exit, reason, result, logTail } = end;
  const report = bounded({
    runId: run.runId,
    state,
    attempts: run.attempts + end.starts,
    exit,
    oomKills: killsIn(run, end.oomKills),
    startedMs: run.startedMs,
    endedMs: wallMs,
    reason: reason === null ? null : reason.slice(0, 2000),
    result,
    logTail,
  });
  return { kind: "run", run: { ...run, phase: "ended", start: null, report } };
}

/** Back to the queue: it was not begun, or it is to be done again. */
function again(run: Run, starts: number): Change {
  const more = starts > 0 ? { attempts: run.attempts + starts, interruptions: run.interruptions + 1 } : {};
  return { kind: "run", run: { ...run, phase: "queued", start: null, ...more } };
}

function mayRepeat(run: Run, rules: Rules): boolean {
  return rules.idempotent && run.interruptions < mostInterruptions;
}

function withResult(judged: Judgement, seen: ResultSeen): Pick<End, "state" | "exit" | "reason" | "result"> {
  const result = seen.kind === "json" ? seen.value : null;
  const exit = "exit" in judged ? judged.exit : null;
  switch (judged.kind) {
    case "completed":
      if (seen.kind === "bad") return { state: "failed", exit, reason: seen.reason, result };
      return { state: "completed", exit, reason: null, result };
    case "failed":
      return { state: "failed", exit, reason: judged.reason, result };
    case "interrupted":
      return { state: "interrupted", exit, reason: judged.reason, result };
    case "forgotten":
      if (seen.kind === "json") return { state: "completed", exit, reason: null, result };
      return { state: "interrupted", exit, reason: judged.reason, result };
    case "running":
    case "not begun":
      return { state: "interrupted", exit, reason: "it was not begun", result };
  }
}

function left(event: RunnerEvent & { readonly kind: "left" }, run: Run, now: Now, rules: Rules): Change[] {
  const judged = judge(event.unit, run, now.boot, killsIn(run, event.oomKills));
  if (judged.kind === "running") return [];
  if (judged.kind === "not begun") return [again(run, 0)];
  const end = withResult(judged, event.result);
  const starts = startsOf(event.unit);
  if (end.state === "interrupted" && mayRepeat(run, rules)) return [again(run, starts)];
  return [ended(run, { ...end, oomKills: event.oomKills, starts, logTail: event.logTail }, now.wallMs)];
}

function answered(event: RunnerEvent & { readonly kind: "answered" }, run: Run, now: Now, rules: Rules): Change[] {
  const { answer, oomKills, logTail } = event;
  const end = (state: End["state"], reason: string | null, result: RunReport["result"]): Change[] => [
    ended(run, { state, exit: null, reason, result, oomKills, starts: 1, logTail }, now.wallMs),
  ];
  switch (answer.kind) {
    case "ok":
      return end("completed", null, answer.value);
    case "error":
      return end("failed", answer.reason, null);
    case "unreachable":
      return [again(run, 0)];
    case "broken":
      return mayRepeat(run, rules) ? [again(run, 1)] : end("interrupted", answer.reason, null);
  }
}

/** The changes that one event asks for. An event about a run that is not the current one is old news. */
export function take(state: RunnerState, event: RunnerEvent, now: Now, rules: Rules): Change[] {
  if (event.kind === "expires") {
    return event.expiresMs === state.expiresMs ? [] : [{ kind: "expires", expiresMs: event.expiresMs }];
  }
  const run = state.runs.get(event.runId);
  if (run === undefined) return [];
  if (event.kind === "delivered") {
    if (run.phase !== "ended" || run.report === null) return [];
    // Result and log are the Sentinel's from now on; how it ended is kept, to know the signal again.
    const report = { ...run.report, result: null, logTail: "" };
    return [{ kind: "run", run: { ...run, phase: "delivered", report } }];
  }
  if (run.phase !== "running") return [];
  if (event.kind === "answered") return answered(event, run, now, rules);
  if (event.kind === "left") return left(event, run, now, rules);
  const end = { state: "failed", exit: null, reason: event.reason, result: null } as const;
  return [ended(run, { ...end, oomKills: run.oomKillsBefore, starts: 0, logTail: "" }, now.wallMs)];
}

/** A run is under way: whether it still is. */
function follow(run: Run, payload: string, now: Now, rules: Rules): Outcome {
  const none = { changes: [], actions: [] };
  if (now.busyWith === run.runId) return none;
  if (rules.mode === "resident") {
    // This process has no connection for it: a predecessor had, and it went with him.
    const reason = "the runner was started anew before the agent answered";
    const answer = { kind: "broken", reason } as const;
    const event = { kind: "answered", runId: run.runId, oomKills: now.oomKills, logTail: "", answer } as const;
    return { changes: answered(event, run, now, rules), actions: [] };
  }
  if (now.unit === undefined) return none;
  const judged = judge(now.unit, run, now.boot, killsIn(run, now.oomKills));
  if (judged.kind === "running") return none;
  if (judged.kind === "not begun") {
    return now.canStart ? { changes: [], actions: [{ kind: "start", run, payload }] } : none;
  }
  return { changes: [], actions: [{ kind: "collect", run, unit: now.unit }] };
}

/** What is next, after all events were taken. */
export function decide(state: RunnerState, now: Now, rules: Rules): Outcome {
  const none = { changes: [], actions: [] };
  const current = state.runs.get(state.running ?? "");
  if (current !== undefined) return follow(current, state.payloads.get(current.runId) ?? "null", now, rules);
  const [next = ""] = state.queue;
  const run = state.runs.get(next);
  const payload = state.payloads.get(next);
  if (run === undefined || payload === undefined || now.busyWith !== undefined) return none;
  if (!now.canStart || state.outboxBytes > mostOutboxBytes) return none;
  if (state.expiresMs !== undefined && now.wallMs >= state.expiresMs) return none;
  // Somebody started it by hand: its end is waited for.
  if (rules.mode === "job" && (now.unit === undefined || !isOver(now.unit))) return none;
  const begun: Run = {
    ...run,
    phase: "running",
    startedMs: run.startedMs ?? now.wallMs,
    start: { boot: now.boot, before: now.unit?.invocation ?? "" },
    oomKillsBefore: run.startedMs === null ? now.oomKills : run.oomKillsBefore,
  };
  const kind = rules.mode === "job" ? "start" : "send";
  return { changes: [{ kind: "run", run: begun }], actions: [{ kind, run: begun, payload }] };
}
