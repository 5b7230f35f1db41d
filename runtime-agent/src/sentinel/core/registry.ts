/** The registry: who is an agent, by which key, on which server, until when. */
import { checkSize, sizeFor } from "../../../../components/shared/vps/sizing.ts";
import type { Lease } from "../../../../components/shared/signals/protocol.ts";
import type { Draft, Event, Now, Policy, Reply } from "./events.ts";
import { done, refusal } from "./events.ts";
import { displace, hasOpenRuns, leaveBehind } from "./runs.ts";
import type { SentinelState } from "./state.ts";
import type { AgentRecord, HandOver } from "./types.ts";

const noSuchAgent = refusal(404, "no such agent", "`hive agent list` names them.");
const reapersOwn = refusal(
  409,
  "its server was handed to the reaper",
  "Destroy the agent's stack and make it anew: `hive agent destroy`, `hive agent new`.",
);

const voidKey = refusal(409, "another key has taken this one's place", "Destroy this server.");

type Of<Kind extends Event["kind"]> = Extract<Event, { readonly kind: Kind }>;

type Next = NonNullable<AgentRecord["pending"]>;

function minted({ id, expiresMs }: AgentRecord, { key, registerBeforeMs }: Next): Reply {
  return { status: 200, json: { id, key, registerBeforeMs, expiresMs } };
}

/** What two calls for the same agent must agree on to be the same. */
function sameWords(agent: AgentRecord, given: Of<"new">["agent"]): boolean {
  const words = ({ kind, size, mode, idempotent, address, provider }: Of<"new">["agent"] | AgentRecord): string =>
    JSON.stringify([kind, size, mode, idempotent, address ?? null, provider ?? null]);
  return words(agent) === words(given);
}

export function newAgent(
  state: SentinelState,
  { agent: given, key, id }: Of<"new">,
  now: Now,
  policy: Policy,
  draft: Draft,
): Reply {
  const old = state.agents.get(given.name);
  if (old !== undefined) {
    // Whoever asked may have died before he heard the answer.
    const unused = old.registered === undefined && old.handedOver === undefined && now.wallMs < old.registerBeforeMs;
    if (unused && sameWords(old, given)) return minted(old, old);
    return refusal(409, "there is an agent of this name", "Destroy it first, or choose another name.");
  }
  const { ttlMs, ...rest } = given;
  const agent: AgentRecord = {
    ...rest,
    id,
    createdMs: now.wallMs,
    expiresMs: now.wallMs + ttlMs,
    key,
    life: 1,
    registerBeforeMs: now.wallMs + policy.registerWithinMs,
  };
  draft.say({ kind: "agent", agent });
  return { ...minted(agent, agent), status: 201 };
}

/**
 * A key for the next server of the same agent. While a server is registered it stands beside the key in use, and a later
 * one takes its place; without a server it is the agent's at once, even if the one before was never used: a move that
 * failed half-way goes on.
 */
export function mint(
  state: SentinelState,
  { name, key, provider }: Of<"mint">,
  now: Now,
  policy: Policy,
  draft: Draft,
): Reply {
  const agent = state.agents.get(name);
  if (agent === undefined) return noSuchAgent;
  if (agent.handedOver !== undefined && agent.handedOver.why !== "unregistered") return reapersOwn;
  const registerBeforeMs = now.wallMs + policy.registerWithinMs;
  const next = { key, registerBeforeMs, ...(provider === undefined ? {} : { provider }) };
  if (agent.registered === undefined) {
    draft.say({ kind: "agent", agent: succeeded(agent, next) });
    draft.do({ kind: "cut-off", agent: name });
  } else draft.say({ kind: "agent", agent: { ...agent, pending: next } });
  return minted(agent, next);
}

/** The agent in its next life, by another key and where its next server is; none has the key yet. */
function succeeded(agent: AgentRecord, next: Next): AgentRecord {
  const { registered: _, pending: __, handedOver: ___, ...rest } = agent;
  return { ...rest, ...next, life: agent.life + 1 };
}

/** Forgets a pending key that was not used in time. */
export function dropPending(agent: AgentRecord, now: Now, draft: Draft): void {
  if (agent.pending === undefined || now.wallMs < agent.pending.registerBeforeMs) return;
  draft.say({ kind: "agent", agent: withoutPending(agent) });
  draft.do({ kind: "cut-off", agent: agent.name });
}

function withoutPending({ pending: _, ...rest }: AgentRecord): AgentRecord {
  return rest;
}

export function renew(state: SentinelState, { name, ttlMs }: Of<"renew">, now: Now, draft: Draft): Reply {
  const agent = state.agents.get(name);
  if (agent === undefined) return noSuchAgent;
  if (agent.handedOver !== undefined) return reapersOwn;
  const expiresMs = now.wallMs + ttlMs;
  draft.say({ kind: "agent", agent: { ...agent, expiresMs } });
  return { status: 200, json: { name, expiresMs } };
}

/** Takes note of a size that a person applied; the server itself is its stack's. */
export function resize(state: SentinelState, { name, size }: Of<"resize">, draft: Draft): Reply {
  const agent = state.agents.get(name);
  if (agent === undefined) return noSuchAgent;
  const checked = checkSize("size", agent.kind, size);
  if (!checked.ok) {
    const [fault] = checked.faults;
    return refusal(400, "no such size for this kind", fault?.fix ?? `Write ${sizeFor(agent.kind)}.`, fault?.limit);
  }
  const { proposal: _, ...rest } = agent;
  draft.say({ kind: "agent", agent: { ...rest, size: checked.value } });
  return { status: 200, json: { name, size: checked.value } };
}

/** Takes an agent off the registry. */
export function remove(
  state: SentinelState,
  { name, id }: Pick<Of<"remove">, "name" | "id">,
  now: Now,
  draft: Draft,
): Reply {
  const agent = state.agents.get(name);
  if (agent === undefined || (id !== undefined && id !== agent.id)) return noSuchAgent;
  takeOff(state, agent, now, draft);
  draft.do({ kind: "cut-off", agent: name });
  return done;
}

function takeOff(state: SentinelState, agent: AgentRecord, now: Now, draft: Draft): void {
  displace(state, agent, now, draft);
  leaveBehind(state, agent, "its agent left before it was delivered", draft);
  draft.say({ kind: "agent-gone", name: agent.name });
  draft.tell({ kind: "removed", agent: agent.name });
}

function leaseOf(agent: AgentRecord, policy: Policy): Reply {
  const lease: Lease = { validMs: policy.leaseMs, heartbeatMs: policy.heartbeatMs, expiresMs: agent.expiresMs };
  return { status: 200, json: { ...lease } };
}

/** What a server that is known may tell anew: where it is, and what runs there in which way. */
function whereabouts(told: Omit<NonNullable<AgentRecord["registered"]>, "atMs">): string {
  const { address, ssh, idempotent, version } = told;
  return JSON.stringify([address, ssh ?? null, idempotent, version]);
}

export function register(
  state: SentinelState,
  { name, key, registration }: Of<"register">,
  now: Now,
  policy: Policy,
  draft: Draft,
): Reply {
  const agent = state.agents.get(name);
  if (agent === undefined) return noSuchAgent;
  const { mode: _, ...told } = registration;
  const { instance } = told;
  const isNext = agent.pending?.key === key;
  if (agent.key !== key && !isNext) return voidKey;
  if (agent.registered === undefined || isNext) {
    const { registerBeforeMs } = agent.pending ?? agent;
    if (agent.handedOver !== undefined || now.wallMs >= registerBeforeMs)
      return refusal(410, "the key was not used in time", "Ask the Sentinel for another: `hive up` of its stack.");
    const registered = { ...told, atMs: now.wallMs };
    const next = agent.pending === undefined ? agent : succeeded(agent, agent.pending);
    draft.say({ kind: "agent", agent: { ...next, registered } });
    draft.tell({ kind: "registered", agent: name });
    if (isNext) takePlace(state, agent, instance, now, draft);
  } else if (agent.registered.instance !== instance)
    return refusal(409, "the key is used up: another server registered with it", "Destroy this server.");
  else if (whereabouts(agent.registered) !== whereabouts(told))
    draft.say({ kind: "agent", agent: { ...agent, registered: { ...told, atMs: agent.registered.atMs } } });
  isHeard(state, name, now);
  return leaseOf(agent, policy);
}

/** The older key is void. What another server may have begun is interrupted, or begins again; its own goes on. */
function takePlace(state: SentinelState, agent: AgentRecord, instance: string, now: Now, draft: Draft): void {
  draft.do({ kind: "cut-off", agent: agent.name });
  if (agent.registered?.instance === instance) return;
  state.heard.delete(agent.name);
  displace(state, agent, now, draft);
}

/** A runner that comes back gets what waits for it at once. */
function isHeard(state: SentinelState, name: string, now: Now, heartbeat?: Of<"heartbeat">["heartbeat"]): void {
  const before = state.heard.get(name);
  const known = heartbeat ?? before?.heartbeat;
  state.heard.set(name, { atMs: now.monotonicMs, ...(known === undefined ? {} : { heartbeat: known }) });
}

export function heartbeat(state: SentinelState, event: Of<"heartbeat">, now: Now, policy: Policy, draft: Draft): Reply {
  const agent = state.agents.get(event.name);
  if (agent?.registered === undefined) return refusal(404, "not registered", "Register first.");
  if (agent.registered.instance !== event.heartbeat.instance)
    return refusal(409, "another server registered with this key", "Destroy this server.");
  const last = state.heard.get(event.name)?.atMs ?? Number.NEGATIVE_INFINITY;
  const head = state.head(event.name);
  if (head !== undefined && now.monotonicMs - last > policy.leaseMs) state.due.delete(head.runId);
  isHeard(state, event.name, now, event.heartbeat);
  const heard = state.heard.get(event.name);
  if (heard !== undefined) draft.tell({ kind: "heartbeat", agent: event.name, heard });
  return leaseOf(agent, policy);
}

/** From now on the agent's server is the reaper's; what waits for it stays until it is gone, or {@link closeDown}. */
export function handOver(agent: AgentRecord, why: HandOver, now: Now, draft: Draft): void {
  draft.say({ kind: "agent", agent: { ...withoutPending(agent), handedOver: { why, atMs: now.wallMs } } });
}

/**
 * Closes what a server left open that was handed to the reaper a grace ago: nothing more is sent to it, results in its
 * last minutes have come by now, and whether the reaper ever deletes it is another matter.
 */
export function closeDown(state: SentinelState, agent: AgentRecord, now: Now, policy: Policy, draft: Draft): void {
  if (agent.handedOver === undefined || now.wallMs < agent.handedOver.atMs + policy.graceMs) return;
  if (!hasOpenRuns(state, agent)) return;
  displace(state, agent, now, draft);
  leaveBehind(state, agent, "its server's time was over before a result came", draft);
}

export function farewell(state: SentinelState, event: Of<"farewell">, now: Now, draft: Draft): Reply {
  const agent = state.agents.get(event.name);
  // Who is not known, not any more or not yet, may go: nobody waits for him.
  if (agent?.registered === undefined || agent.key !== event.key) return done;
  if (agent.registered.instance !== event.farewell.instance)
    return refusal(409, "another server registered with this key", "Destroy this server.");
  state.heard.delete(event.name);
  draft.tell({ kind: "farewell", agent: event.name });
  // A stack that takes its server down deletes it itself. Nothing is cut off: the answer goes out by the key that is void
  // now, and the connection ends with it.
  if (event.farewell.reason === "destroyed") leave(state, agent, now, draft);
  else if (agent.handedOver === undefined) handOver(agent, "farewell", now, draft);
  return done;
}

/** A server goes: with it its agent, unless the key of a successor is there. */
function leave(state: SentinelState, agent: AgentRecord, now: Now, draft: Draft): void {
  if (agent.pending === undefined) return takeOff(state, agent, now, draft);
  draft.say({ kind: "agent", agent: succeeded(agent, agent.pending) });
  displace(state, agent, now, draft);
}

/** Whether its lease holds. */
export function isAlive(state: SentinelState, agent: AgentRecord, now: Now, policy: Policy): boolean {
  const heard = state.heard.get(agent.name);
  return agent.registered !== undefined && heard !== undefined && now.monotonicMs - heard.atMs <= policy.leaseMs;
}
