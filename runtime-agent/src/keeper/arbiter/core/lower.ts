import type { Draft } from "./draft.ts";
import { act, holdOf, say } from "./draft.ts";
import { endHold, newHold, raise } from "./holds.ts";
import { freesVram, isReversible, nextRung, residentMiB, triedFor, withRung } from "./ladder.ts";
import type { Goal, Hold, Step } from "./state.ts";
import type { Rung, Service } from "./types.ts";

/**
 * Moves a service one rung down for a goal. An idle resident without a hold gets one that does not want to resume for
 * its own sake. False when no rung is left.
 */
export function lower(draft: Draft, service: Service, goal: Goal, why: string, gentle = false): boolean {
  const known = holdOf(draft, service.name);
  const tried = known === undefined ? [] : triedFor(known, goal);
  const rung = nextRung(service, goal, tried, gentle || draft.gates.blind);
  if (rung === undefined) return false;
  const hold = known ?? newHold(draft, service, { wants: false });
  if (hold.phase === "running") hold.usedMs += draft.now - hold.sinceMs;
  Object.assign(hold, { goal, tried: tried.includes(rung) ? tried : [...tried, rung] });
  // Noted before it is known to work: a rung that half worked has to be undone too.
  if (isReversible(rung)) hold.undo = withRung(hold.undo, rung);
  hold.phase = "lowering";
  hold.why = why;
  const action = act(draft, { kind: "lower", service: service.name, rung, reason: why });
  const deadlineMs = draft.now + draft.config.ladder.deadlineMs[rung];
  hold.step = { action, kind: "lower", rung, goal, gentle, sinceMs: draft.now, deadlineMs };
  say(draft, "lower", `${rung}: ${why}`, { service: service.name });
  return true;
}

/** The end of a rung: down far enough, or the next one. */
export function lowerDone(
  draft: Draft,
  service: Service,
  hold: Hold,
  step: Step,
  ok: boolean,
  reason: string | undefined,
): void {
  const { rung, goal } = step;
  if (rung === null || goal === null) return;
  // The last resort has no next: it is tried again at its deadline, not as fast as it fails.
  if (!ok && rung === "kill" && draft.now < step.deadlineMs) return;
  hold.step = null;
  if (!ok) {
    say(draft, "rung-failed", `${rung}: ${reason ?? "no reason given"}`, { service: service.name });
    // Its VRAM is moved and it cannot be frozen as well: it rests by that alone.
    if (hold.freed && goal === "pause") settleDown(draft, service, hold, "its VRAM is moved");
    else if (!lower(draft, service, goal, hold.why ?? "lowered", step.gentle)) stays(draft, service, hold, step);
    return;
  }
  if (!isReversible(rung)) endHold(draft, service, hold.why ?? "ended");
  else if (freesVram(rung)) freed(draft, service, hold, step, rung);
  else settleDown(draft, service, hold, rung === "freeze" ? "frozen" : "stopped");
}

function freed(draft: Draft, service: Service, hold: Hold, step: Step, rung: Rung): void {
  measure(draft, service, step, rung);
  hold.freed = true;
  const { gpu } = draft.seen;
  if (gpu.kind === "known") draft.state.settle = { sample: gpu.sample };
  say(draft, "freed", `${rung} moved its VRAM`, { service: service.name });
  const able = service.rungs.includes("freeze") || service.rungs.includes("stop");
  if (step.goal === "vram" && !hold.rests && able) lower(draft, service, "pause", hold.why ?? "lowered", step.gentle);
  else settleDown(draft, service, hold, "its VRAM is moved");
}

/** How fast this rung freed VRAM: the mean of what was known and what was just seen. */
function measure(draft: Draft, service: Service, step: Step, rung: Rung): void {
  const tookMs = draft.now - step.sinceMs;
  const mib = residentMiB(draft, service);
  if (tookMs <= 0 || mib <= 0) return;
  const rate = (mib * 1000) / tookMs;
  const before = draft.state.rates[rung];
  draft.state.rates[rung] = Math.round(before === undefined ? rate : (before + rate) / 2);
}

function settleDown(draft: Draft, service: Service, hold: Hold, how: string): void {
  Object.assign(hold, { phase: "lowered", rests: true } as const);
  say(draft, "lowered", how, { service: service.name });
}

/**
 * No rung is left. One asked to leave goes on as it was; one whose VRAM was to be moved rests with it; one that was to
 * be paused by gentle rungs alone goes on, too; one that could not be ended keeps the card closed, until `retryStuck`.
 */
function stays(draft: Draft, service: Service, hold: Hold, { goal, gentle }: Step): void {
  const why = hold.why ?? "lowered";
  const tellStay = (line: string): void => say(draft, "stays", line, { service: service.name });
  if (goal === "leave") {
    hold.phase = hold.rests ? "lowered" : "running";
    hold.sinceMs = draft.now;
    tellStay("did not leave when asked");
  } else if (goal === "vram") {
    tellStay("no rung moved its VRAM");
    draft.state.unmovableUntilMs[service.name] = draft.now + draft.config.ladder.moveAgainMs;
    if (hold.rests) hold.phase = "lowered";
    else if (!lower(draft, service, "pause", why, gentle) && gentle) goesOn(draft, service, hold);
  } else if (gentle) {
    tellStay("no gentle rung paused it: it goes on");
    draft.state.unmovableUntilMs[service.name] = draft.now + draft.config.ladder.moveAgainMs;
    goesOn(draft, service, hold);
  } else tellStay("no gentle rung is left, and nobody is ended while the heat of the card is unknown");
}

/**
 * Takes back what half worked. One that holds nothing keeps nobody out meanwhile: that is undone when its turn comes.
 */
function goesOn(draft: Draft, service: Service, hold: Hold): void {
  if (hold.wants || hold.lease !== null) raise(draft, service, hold);
  else Object.assign(hold, { phase: "lowered", rests: false } as const);
}

/**
 * Those that could not be paused or ended while the card's heat was unknown are lowered anew once it is known. None of
 * them was to be spared: one that was goes on at once.
 */
export function retryStuck(draft: Draft): void {
  if (draft.gates.blind) return;
  for (const [name, hold] of Object.entries(draft.state.holds)) {
    const service = draft.services.get(name);
    if (service === undefined || hold.phase !== "lowering" || hold.step !== null || hold.goal === null) continue;
    hold.tried = [];
    lower(draft, service, hold.goal, hold.why ?? "lowered");
  }
}
