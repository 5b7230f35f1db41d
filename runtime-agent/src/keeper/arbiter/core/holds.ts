import type { Draft } from "./draft.ts";
import { act, holdOf, nextArrival, nextToken, say } from "./draft.ts";
import type { Hold } from "./state.ts";
import type { Service } from "./types.ts";

/** A new hold, not yet running. */
export function newHold(draft: Draft, service: Service, given: Partial<Hold>): Hold {
  const hold: Hold = {
    phase: "lowered",
    seq: given.seq ?? nextArrival(draft),
    lease: null,
    token: 0,
    granted: false,
    wants: true,
    untilMs: null,
    sinceMs: draft.now,
    usedMs: 0,
    turnFromMs: 0,
    undo: [],
    goal: null,
    tried: [],
    // Who only holds VRAM, and no lease, uses nothing.
    rests: given.wants === false,
    freed: false,
    why: null,
    step: null,
    startAction: null,
    failures: 0,
    ...given,
  };
  draft.state.holds[service.name] = hold;
  return hold;
}

/** The hold runs from now on; its client, if it has one, is told so. */
export function run(draft: Draft, service: Service, hold: Hold): void {
  Object.assign(hold, { phase: "running", sinceMs: draft.now, undo: [], goal: null, tried: [], step: null } as const);
  Object.assign(hold, { rests: false, freed: false, why: null, failures: 0 });
  hold.untilMs =
    hold.lease !== null
      ? draft.now + service.leaseMs
      : service.kind === "scan"
        ? draft.now + Math.max(0, service.leaseMs - hold.usedMs)
        : null;
  if (hold.lease === null) return;
  hold.granted = true;
  act(draft, { kind: "grant", lease: hold.lease, service: service.name, token: hold.token });
  say(draft, "grant", "holds the GPU", { service: service.name, lease: hold.lease, token: hold.token });
}

/**
 * Gives the GPU to a service that asked. One that the shell can start is started first, unless it runs: it is granted
 * when its processes are there, and refused when they do not come (seed `000_…` step 3: "the Keeper starts Llama-3").
 */
export function grant(draft: Draft, service: Service, lease: string, seq: number): void {
  const hold = newHold(draft, service, { lease, seq, token: nextToken(draft) });
  if (service.startable === true) begin(draft, service, hold, "asked for, and started unless it runs", true);
  else run(draft, service, hold);
}

/** Starts the processes of a scan or a batch. */
export function start(draft: Draft, service: Service, seq: number): void {
  delete draft.state.dueSeq[service.name];
  if (service.everyMs !== undefined) draft.state.startAtMs[service.name] = draft.now + service.everyMs;
  const hold = newHold(draft, service, { token: nextToken(draft), seq });
  begin(draft, service, hold, service.kind === "scan" ? "scan due" : "night, and the load is low", false);
}

function begin(draft: Draft, service: Service, hold: Hold, why: string, ifAbsent: boolean): void {
  const { token, lease } = hold;
  const action = askToStart(draft, service, hold, ifAbsent);
  const deadlineMs = draft.now + draft.config.ladder.startMs;
  hold.phase = "starting";
  hold.step = { action, kind: "start", rung: null, goal: null, gentle: false, sinceMs: draft.now, deadlineMs };
  say(draft, "start", why, { service: service.name, ...(lease === null ? {} : { lease }), token });
}

/** The action that starts its processes; the hold ends with a word of its failure, whenever that comes. */
export function askToStart(draft: Draft, service: Service, hold: Hold, ifAbsent: boolean): string {
  const { token } = hold;
  const what = { kind: "start", service: service.name, token, ...(ifAbsent ? { ifAbsent } : {}) } as const;
  hold.startAction = act(draft, what);
  return hold.startAction;
}

/** Sets a lowered service going again, under a new token. */
export function raise(draft: Draft, service: Service, hold: Hold): void {
  hold.token = nextToken(draft);
  Object.assign(hold, { phase: "raising", rests: false, freed: false, goal: null, tried: [] } as const);
  const action = act(draft, { kind: "raise", service: service.name, rungs: [...hold.undo], token: hold.token });
  const deadlineMs = draft.now + draft.config.ladder.raiseMs;
  hold.step = { action, kind: "raise", rung: null, goal: null, gentle: false, sinceMs: draft.now, deadlineMs };
  const undone = hold.undo.length === 0 ? "nothing to undo" : `undoes ${[...hold.undo].reverse().join(", ")}`;
  say(draft, "raise", undone, { service: service.name, token: hold.token });
}

/**
 * Ends a hold. A client that held is told that it no longer does, one that was about to hold that it will not; none is
 * when it gave the lease back itself (`silent`).
 */
export function endHold(draft: Draft, service: Service, reason: string, silent = false): void {
  const hold = holdOf(draft, service.name);
  if (hold === undefined) return;
  const { lease, token } = hold;
  delete draft.state.holds[service.name];
  const { gpu } = draft.seen;
  if (gpu.kind === "known") draft.state.settle = { sample: gpu.sample };
  if (service.kind === "batch" && hold.wants) {
    draft.state.startAtMs[service.name] = draft.now + draft.config.queue.restartMs;
  }
  if (lease === null || silent) {
    const more = lease === null ? { service: service.name } : { service: service.name, lease };
    say(draft, silent ? "release" : "end", reason, more);
  } else if (hold.granted) {
    act(draft, { kind: "revoke", lease, token, reason });
    say(draft, "revoke", reason, { service: service.name, lease, token });
  } else refuse(draft, lease, reason, service.name);
}

export function refuse(draft: Draft, lease: string, reason: string, service?: string): void {
  act(draft, { kind: "refuse", lease, reason });
  say(draft, "refuse", reason, service === undefined ? { lease } : { lease, service });
}
