/**
 * The Sentinel's pure core: an event comes in; out come the lines to journal, what to do once they are on the disk, and
 * what to answer then. It does no I/O, and the same events at the same instants give the same outcomes. The lines take
 * effect on `state` at once; whoever calls lets nothing out before they are journaled.
 */
import type { News } from "../extension.ts";
import type { Action, Draft, Event, Now, Outcome, Policy, Reply } from "./events.ts";
import { done } from "./events.ts";
import {
  closeDown,
  dropPending,
  farewell,
  handOver,
  heartbeat,
  isAlive,
  mint,
  newAgent,
  register,
  remove,
  renew,
  resize,
} from "./registry.ts";
import { asked, delivered, giveUp, result, retry, signal } from "./runs.ts";
import type { SentinelState } from "./state.ts";
import type { AgentRecord, Line, Run } from "./types.ts";

/** Keys written into their store in one go. */
const mostForgotten = 256;

export function decide(state: SentinelState, event: Event, now: Now, policy: Policy): Outcome {
  const lines: Line[] = [];
  const actions: Action[] = [];
  const news: News[] = [];
  const draft: Draft = {
    say(line) {
      lines.push(line);
      state.apply(line);
    },
    do: (action) => void actions.push(action),
    tell: (item) => void news.push(item),
  };
  // Before it is taken: a run that ends is still somebody's.
  const of = agentOf(state, event);
  const reply = take(state, event, now, policy, draft);
  const agents = event.kind === "tick" ? state.agents.values() : [state.agents.get(of)];
  for (const agent of agents) if (agent !== undefined) plan(state, agent, now, policy, draft);
  return { lines, actions, news, reply };
}

/** Whose line an event may move. */
function agentOf(state: SentinelState, event: Event): string {
  if ("name" in event) return event.name;
  if ("runId" in event) return state.runs.get(event.runId)?.agent ?? "";
  return event.kind === "signal" ? event.signal.agent : "";
}

function take(state: SentinelState, event: Event, now: Now, policy: Policy, draft: Draft): Reply {
  switch (event.kind) {
    case "new":
      return newAgent(state, event, now, policy, draft);
    case "mint":
      return mint(state, event, now, policy, draft);
    case "renew":
      return renew(state, event, now, draft);
    case "resize":
      return resize(state, event, draft);
    case "remove":
      return remove(state, event, now, draft);
    case "register":
      return register(state, event, now, policy, draft);
    case "heartbeat":
      return heartbeat(state, event, now, policy, draft);
    case "farewell":
      return farewell(state, event, now, draft);
    case "result":
      return result(state, event, now, policy, draft);
    case "signal":
      return signal(state, event, now, policy, draft);
    case "retry":
      return retry(state, event.runId, draft);
    case "give-up":
      return giveUp(state, event.runId, now, draft);
    case "delivered":
      delivered(state, event, now, policy, draft);
      return done;
    case "asked":
      asked(state, event, now, policy, draft);
      return done;
    case "forgotten":
      for (const runId of event.runIds) draft.say({ kind: "run-gone", runId });
      // Under load more runs end in a second than go into the store at once.
      forget(state, now, policy, draft);
      return done;
    case "extension":
      extension(state, event, now, draft);
      return done;
    case "tick":
      if (event.handOver)
        for (const agent of state.agents.values()) {
          isDue(agent, now, policy, draft);
          closeDown(state, agent, now, policy, draft);
        }
      forget(state, now, policy, draft);
      return done;
  }
}

function extension(
  state: SentinelState,
  { name, action }: Extract<Event, { kind: "extension" }>,
  now: Now,
  draft: Draft,
): void {
  if (action.kind === "keep") return draft.say({ kind: "kept", extension: name, value: action.value });
  const agent = state.agents.get(action.agent);
  if (agent === undefined) return;
  if (action.kind === "reaped") {
    if (agent.life === action.life && agent.handedOver !== undefined) remove(state, agent, now, draft);
    return;
  }
  const { proposal: old, ...rest } = agent;
  if (JSON.stringify(old) === JSON.stringify(action.proposal)) return;
  draft.say({
    kind: "agent",
    agent: { ...rest, ...(action.proposal === undefined ? {} : { proposal: action.proposal }) },
  });
}

/** Hands over a server that nobody registered in time, or whose time is over; a pending key goes with its own time. */
function isDue(agent: AgentRecord, now: Now, policy: Policy, draft: Draft): void {
  if (agent.handedOver !== undefined) return;
  if (agent.registered === undefined && now.wallMs >= agent.registerBeforeMs)
    handOver(agent, "unregistered", now, draft);
  else if (now.wallMs >= agent.expiresMs + policy.graceMs) handOver(agent, "expired", now, draft);
  else dropPending(agent, now, draft);
}

/** Lets go of ended runs beyond their number or time; their keys go into the store first. */
function forget(state: SentinelState, now: Now, policy: Policy, draft: Draft): void {
  if (state.forgetting.size > 0) return;
  const runs: Run[] = [];
  let over = state.endedCount - policy.historyRuns;
  for (const id of state.ended()) {
    const run = state.runs.get(id);
    if (run === undefined || runs.length >= mostForgotten) break;
    const old = now.wallMs - (run.end?.atMs ?? 0) > policy.historyMs;
    if (over <= 0 && !old) break;
    over -= 1;
    runs.push(run);
  }
  if (runs.length === 0) return;
  for (const { runId } of runs) state.forgetting.add(runId);
  draft.do({ kind: "forget", runs });
}

/** Delivers the first in an agent's line when it is time, and asks for a run that nobody heard of. */
function plan(state: SentinelState, agent: AgentRecord, now: Now, policy: Policy, draft: Draft): void {
  if (agent.handedOver !== undefined || !isAlive(state, agent, now, policy)) return;
  const head = state.head(agent.name);
  if (head !== undefined && !state.flights.has(agent.name) && (state.due.get(head.runId) ?? 0) <= now.monotonicMs) {
    // Strictly newer than the last one: an older or equal time is a replay to the runner.
    const sentSec = Math.max(Math.floor(now.wallMs / 1000), head.sentSec + 1);
    const step = { attempts: head.attempts + 1, doubts: head.doubts + 1, sentSec };
    draft.say({ kind: "step", runId: head.runId, step });
    state.flights.set(agent.name, head.runId);
    draft.do({ kind: "deliver", run: { ...head, ...step }, agent });
  }
  if (state.questions.has(agent.name)) return;
  for (const runId of state.handed(agent.name)) {
    const due = state.due.get(runId);
    if (due === undefined) state.due.set(runId, now.monotonicMs + policy.askAfterMs);
    else if (due <= now.monotonicMs) {
      state.questions.set(agent.name, runId);
      draft.do({ kind: "ask", runId, agent });
      return;
    }
  }
}

/**
 * When the next thing is due, by the monotonic clock; undefined when nothing waits for its time. What waits for a runner
 * that is silent, or for the reaper, waits for an event: no time that has passed may keep the loop turning.
 */
export function nextDueMs(state: SentinelState, now: Now, policy: Policy): number | undefined {
  let next: number | undefined;
  for (const agent of state.agents.values()) {
    const { name } = agent;
    if (agent.handedOver !== undefined || !isAlive(state, agent, now, policy)) continue;
    const head = state.head(name);
    const due = head === undefined || state.flights.has(name) ? undefined : state.due.get(head.runId);
    if (due !== undefined && (next === undefined || due < next)) next = due;
  }
  return next;
}
