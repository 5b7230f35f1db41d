/** Signals and the runs that they ask for. */
import { runEnds } from "../../../../components/shared/signals/protocol.ts";
import type { Draft, Event, Now, Policy, Reply } from "./events.ts";
import { done, refusal } from "./events.ts";
import type { SentinelState } from "./state.ts";
import type { AgentRecord, Body, EndState, Run, RunReport } from "./types.ts";

type Of<Kind extends Event["kind"]> = Extract<Event, { readonly kind: Kind }>;

/** How a run stands, in one word. */
export function standing(run: Run): string {
  return run.end?.state ?? run.phase;
}

function standingReply(status: number, runId: string, state: string): Reply {
  return { status, json: { runId, state } };
}

const otherPayload = refusal(409, "this key was used with another payload", "One key is one run: take a new key.");

export function signal(
  state: SentinelState,
  { signal: given }: Of<"signal">,
  now: Now,
  policy: Policy,
  draft: Draft,
): Reply {
  const { agent: name, key, digest, known } = given;
  const old = state.runOf(name, key);
  if (old !== undefined) return old.digest === digest ? standingReply(200, old.runId, standing(old)) : otherPayload;
  if (known !== undefined)
    return digest.startsWith(known.digest) ? standingReply(200, known.runId, known.state) : otherPayload;
  const days = String(Math.round(policy.keyMs / 86_400_000));
  if (given.issuedMs !== undefined && given.issuedMs < now.wallMs - policy.keyMs)
    return refusal(410, `keys are known for ${days} days, and this one is older`, "Take a new key.", `${days} days`);
  const agent = state.agents.get(name);
  if (agent === undefined) return refusal(404, "no such agent", "`hive agent list` names them.");
  if (agent.handedOver !== undefined || now.wallMs >= agent.expiresMs)
    return refusal(409, "its server's time to live is over", "Renew it in time, or make the agent anew.");
  const full = isFull(state, given, policy);
  if (full !== undefined) return full;
  const run: Run = {
    runId: given.runId,
    agent: name,
    key,
    digest,
    payload: given.payload,
    acceptedMs: now.wallMs,
    order: state.nextOrder,
    phase: "waiting",
    attempts: 0,
    sentSec: 0,
    doubts: 0,
  };
  draft.say({ kind: "run", run });
  return standingReply(202, run.runId, "waiting");
}

/** Why no further signal can be kept; undefined when it can. */
function isFull(
  state: SentinelState,
  { keys, payload }: Pick<Of<"signal">["signal"], "keys" | "payload">,
  policy: Policy,
): Reply | undefined {
  const { open, openBytes } = state;
  const { mostWaiting, mostWaitingBytes, mostKeys } = policy;
  const later = (setting: string): string =>
    `Send it again later, give dead letters up (hive agent dead-letters), or raise ${setting}.`;
  const bytes = openBytes + payload.bytes;
  const known = keys + state.runs.size;
  if (open >= mostWaiting) {
    const limit = `${String(mostWaiting)} signals`;
    return refusal(503, `${String(open)} signals wait or are dead`, later("delivery.mostWaiting"), limit);
  }
  if (bytes > mostWaitingBytes) {
    const limit = `${String(mostWaitingBytes)} bytes`;
    return refusal(503, `${String(bytes)} bytes of payloads would wait`, later("delivery.mostWaitingMiB"), limit);
  }
  if (known < mostKeys) return undefined;
  const fix = "Send it again later, or raise history.mostKeys.";
  return refusal(503, `${String(known)} keys are known`, fix, `${String(mostKeys)} keys`);
}

function end(run: Run, how: EndState, reason: string | null, now: Now, draft: Draft, report?: Body): void {
  const ended = { state: how, reason, atMs: now.wallMs, ...(report === undefined ? {} : { report }) };
  draft.say({ kind: "step", runId: run.runId, step: { phase: "ended", doubts: 0, end: ended } });
}

/** Takes in what a runner says of a run of its own. The first end stands. */
function news(
  state: SentinelState,
  run: Run,
  report: RunReport,
  body: Body | undefined,
  now: Now,
  policy: Policy,
  draft: Draft,
): void {
  if (run.phase === "ended") return;
  if (runEnds.has(report.state) && report.state !== "queued" && report.state !== "running") {
    end(run, report.state, report.reason, now, draft, body);
    draft.tell({ kind: "result", agent: run.agent, report });
    return;
  }
  if (run.phase !== "handed") draft.say({ kind: "step", runId: run.runId, step: { phase: "handed", doubts: 0 } });
  state.due.set(run.runId, now.monotonicMs + policy.askAfterMs);
}

/**
 * A result that came is taken, even where nobody knows the run any more: the runner may let go of it. But not from a server
 * that has lost its place: what it had begun may be on its way to the next one.
 */
export function result(state: SentinelState, event: Of<"result">, now: Now, policy: Policy, draft: Draft): Reply {
  const { name, report, body } = event;
  if (!runEnds.has(report.state)) return refusal(400, "not the report of an end", "Send it when the run has ended.");
  if (state.agents.get(name)?.life !== event.life)
    return refusal(409, "another server has taken this one's place", "Destroy this server.");
  const run = state.runs.get(report.runId);
  if (run === undefined) return done;
  if (run.agent !== name) return refusal(403, "another agent's run", "Send the results of this agent's runs alone.");
  news(state, run, report, body, now, policy, draft);
  return done;
}

/** Whether a report would end its run: only then is its text worth keeping. */
export function endsRun(state: SentinelState, agent: string, report: RunReport): boolean {
  const run = state.runs.get(report.runId);
  return run?.agent === agent && run.phase !== "ended" && runEnds.has(report.state);
}

function bury(run: Run, reason: string, draft: Draft): void {
  draft.say({ kind: "step", runId: run.runId, step: { phase: "dead", reason } });
  draft.tell({ kind: "dead-letter", agent: run.agent, runId: run.runId, reason });
}

/** Wait before the next try: between nothing and a bound that doubles with each ("full jitter"), ms. */
export function backOffMs(attempts: number, policy: Pick<Policy, "firstMs" | "mostMs">, random: number): number {
  const bound = Math.min(policy.mostMs, policy.firstMs * 2 ** Math.min(attempts - 1, 30));
  return bound * random;
}

export function delivered(state: SentinelState, event: Of<"delivered">, now: Now, policy: Policy, draft: Draft): void {
  const { outcome, life } = event;
  const run = state.runs.get(event.runId);
  const present = run?.sentSec === event.sentSec && state.flights.get(run.agent) === run.runId;
  if (run !== undefined && present) state.flights.delete(run.agent);
  // The result may have been faster than the answer, or its server is not the agent's any more.
  if (run?.phase !== "waiting" || state.agents.get(run.agent)?.life !== life) return;
  if (outcome.kind === "taken") return news(state, run, outcome.report, outcome.body, now, policy, draft);
  // Of any other try, what it did not do says nothing of the present one.
  if (!present) return;
  // Unless its outcome is unknown, this try has begun nothing.
  const doubts = outcome.kind === "unknown" ? run.doubts : run.doubts - 1;
  draft.say({ kind: "step", runId: run.runId, step: { doubts, reason: outcome.reason } });
  if (outcome.kind === "never" || run.attempts >= policy.attempts) return bury(run, outcome.reason, draft);
  state.due.set(run.runId, now.monotonicMs + backOffMs(run.attempts, policy, now.random()));
}

export function asked(state: SentinelState, event: Of<"asked">, now: Now, policy: Policy, draft: Draft): void {
  const run = state.runs.get(event.runId);
  if (run !== undefined && state.questions.get(run.agent) === run.runId) state.questions.delete(run.agent);
  const agent = state.agents.get(run?.agent ?? "");
  if (run?.phase !== "handed" || agent?.life !== event.life) return;
  const { answer } = event;
  if (answer.kind === "report") news(state, run, answer.report, answer.body, now, policy, draft);
  // It had answered for the run and knows nothing of it now: as if its server had gone away.
  else if (answer.kind === "no-such-run") lose(state, run, agent, now, draft);
  else state.due.set(run.runId, now.monotonicMs + policy.askAfterMs);
}

/** A run that a server may have begun, and that nobody can ask for any more. */
function lose(state: SentinelState, run: Run, agent: AgentRecord, now: Now, draft: Draft): void {
  const again = agent.idempotent && agent.registered?.idempotent !== false;
  if (!again) return end(run, "interrupted", "its server went away, and nobody knows how far it came", now, draft);
  const phase = run.phase === "dead" ? "dead" : "waiting";
  draft.say({ kind: "step", runId: run.runId, step: { phase, doubts: 0, attempts: 0 } });
  state.due.delete(run.runId);
}

/** The agent's server is not its server any more. */
export function displace(state: SentinelState, agent: AgentRecord, now: Now, draft: Draft): void {
  for (const run of state.runsOf(agent.name))
    if (run.phase === "handed" || (run.phase !== "ended" && run.doubts > 0)) lose(state, run, agent, now, draft);
}

/** The agent leaves: what nobody took is a dead letter. */
export function leaveBehind(state: SentinelState, agent: AgentRecord, reason: string, draft: Draft): void {
  for (const run of state.runsOf(agent.name)) if (run.phase === "waiting") bury(run, reason, draft);
}

/** Whether any run of an agent still waits for its server. */
export function hasOpenRuns(state: SentinelState, agent: AgentRecord): boolean {
  const [handed] = state.handed(agent.name);
  return handed !== undefined || state.head(agent.name) !== undefined;
}

const noDeadLetter = refusal(404, "no such dead letter", "GET /dead-letters names them.");

/** The same run, at the end of the line. */
export function retry(state: SentinelState, runId: string, draft: Draft): Reply {
  const run = state.runs.get(runId);
  if (run === undefined) return noDeadLetter;
  // Again for whoever did not hear the answer.
  if (run.phase !== "dead") return standingReply(200, runId, standing(run));
  const agent = state.agents.get(run.agent);
  if (agent === undefined || agent.handedOver !== undefined)
    return refusal(409, "there is no such agent any more", "Make an agent of the same name, or give the letter up.");
  draft.say({ kind: "step", runId, step: { phase: "waiting", attempts: 0, order: state.nextOrder } });
  return standingReply(202, runId, "waiting");
}

export function giveUp(state: SentinelState, runId: string, now: Now, draft: Draft): Reply {
  const run = state.runs.get(runId);
  if (run?.phase !== "dead") return noDeadLetter;
  const how = run.doubts > 0 ? "interrupted" : "failed";
  end(run, how, `given up by a person: ${run.reason ?? "never delivered"}`, now, draft);
  return standingReply(200, runId, how);
}
