import type { Candidate } from "./candidates.ts";
import { nextCandidate } from "./candidates.ts";
import type { Draft } from "./draft.ts";
import { nextArrival, occupant, say, tell } from "./draft.ts";
import { endHold, grant, raise, start } from "./holds.ts";
import { canRest, mustBeGentle, planVram } from "./ladder.ts";
import type { VramPlan } from "./ladder.ts";
import { lower } from "./lower.ts";
import { mustPause } from "./rules.ts";
import type { Hold } from "./state.ts";
import type { Service } from "./types.ts";

/**
 * The mutex: one service at a time runs, starts, is raised or is lowered; all others are lowered or away. Repeats until
 * nothing more can be decided now: each turn of the loop ends a hold or begins an action.
 */
export function schedule(draft: Draft): void {
  const mostTurns = 2 * draft.config.services.length + draft.state.queue.length + 2;
  for (let turn = 0; turn < mostTurns; turn += 1) {
    if (!scheduleOnce(draft)) return;
  }
}

/** Whether something was decided that may let the next one in at once. */
function scheduleOnce(draft: Draft): boolean {
  const here = occupant(draft);
  const next = nextCandidate(draft);
  if (here === undefined) return next !== undefined && letIn(draft, next);
  const { service, hold } = here;
  if (next?.kind === "request" && next.service === service) return attach(draft, next, hold);
  if (hold.phase === "lowering") return false;
  const why = mustPause(draft, service);
  if (why !== undefined) {
    lower(draft, service, "pause", why);
    return false;
  }
  if (next === undefined) return false;
  const rank = hold.wants || hold.lease !== null ? service.rank : 9;
  if (next.rank < rank) return preempt(draft, service, next.service);
  return next.rank === rank && turnIsOver(draft, hold) && yieldTurn(draft, service, hold, next.service);
}

/** A request for a service that is already on its way up or was only parked: the raise becomes its own. */
function attach(draft: Draft, next: Candidate, hold: Hold): boolean {
  if (next.kind !== "request" || hold.phase !== "raising") return false;
  take(draft, next);
  Object.assign(hold, { lease: next.waiting.lease, seq: next.waiting.seq, wants: true, granted: false });
  return true;
}

function take(draft: Draft, next: Candidate & { readonly kind: "request" }): void {
  draft.state.queue = draft.state.queue.filter((each) => each !== next.waiting);
}

/**
 * Makes room by pausing the holder, and moves its VRAM only when the newcomer does not fit beside it. One of the
 * newcomer's rank or a higher one is only asked for what can be undone; where that is nothing, the newcomer waits.
 */
function preempt(draft: Draft, holder: Service, newcomer: Service): boolean {
  const gentle = mustBeGentle(holder, newcomer);
  if (gentle && !canRest(draft, holder)) return false;
  const plan = planVram(draft, newcomer);
  if (plan.moves === undefined) return blocked(draft, newcomer, plan);
  tell(draft, `blocked:${newcomer.name}`, "wait", undefined);
  tellPlan(draft, newcomer, plan);
  lower(draft, holder, plan.moves.includes(holder) ? "vram" : "pause", `${newcomer.name} comes first`, gentle);
  return false;
}

function turnIsOver(draft: Draft, hold: Hold): boolean {
  const usedMs = hold.usedMs - hold.turnFromMs + draft.now - hold.sinceMs;
  return hold.phase === "running" && usedMs >= draft.config.queue.turnMs;
}

/** Inside a rank nobody waits for ever: a client loses its lease, a scan or batch goes to the end of its rank. */
function yieldTurn(draft: Draft, service: Service, hold: Hold, newcomer: Service): boolean {
  const why = `its turn is over, ${newcomer.name} waits`;
  if (hold.lease !== null) {
    endHold(draft, service, why);
    return true;
  }
  const again = preempt(draft, service, newcomer);
  if (hold.phase === "lowering") Object.assign(hold, { seq: nextArrival(draft), turnFromMs: hold.usedMs, why });
  return again;
}

/** The card is free: in, or first make room. */
function letIn(draft: Draft, next: Candidate): boolean {
  const { service } = next;
  const plan = planVram(draft, service);
  const first = plan.moves?.[0];
  if (plan.moves === undefined || first !== undefined) {
    // What was just freed may not show yet: nobody is moved on an old sample.
    if (draft.state.settle !== null) return false;
    if (first === undefined || next.rank === 9) return blocked(draft, service, plan);
    tellPlan(draft, service, plan);
    lower(draft, first, "vram", `${service.name} needs its VRAM`, mustBeGentle(first, service));
    return false;
  }
  tell(draft, `blocked:${service.name}`, "wait", undefined);
  if (next.kind === "start") start(draft, service, next.seq);
  else if (next.kind === "resume") raise(draft, service, next.hold);
  else {
    take(draft, next);
    const { lease, seq } = next.waiting;
    if (next.parked === undefined) grant(draft, service, lease, seq);
    else {
      Object.assign(next.parked, { lease, seq, wants: true, granted: false });
      raise(draft, service, next.parked);
    }
  }
  return true;
}

/** It waits for VRAM that nobody may be moved out of; the next one is looked at meanwhile, and gives way later. */
function blocked(draft: Draft, service: Service, plan: VramPlan): boolean {
  draft.skipped.add(service.name);
  const line = `needs ${String(plan.needMiB)} MiB more, ${String(plan.freeMiB)} MiB are free, and nothing that may be moved makes enough room`;
  // Told once, however the numbers change while it waits.
  const key = `blocked:${service.name}`;
  if (draft.state.told[key] === undefined) tell(draft, key, "wait", line, service.name);
  return true;
}

function tellPlan(draft: Draft, service: Service, plan: VramPlan): void {
  if (plan.moves === undefined || plan.moves.length === 0) return;
  const names = plan.moves.map((each) => each.name).join(", ");
  say(draft, "plan", `needs ${String(plan.needMiB)} MiB more, ${String(plan.freeMiB)} MiB are free: moves ${names}`, {
    service: service.name,
    estimateMs: plan.estimateMs,
  });
}
