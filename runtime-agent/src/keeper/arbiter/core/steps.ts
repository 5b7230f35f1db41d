import type { Draft } from "./draft.ts";
import { holdOf, say } from "./draft.ts";
import { endHold, raise, run } from "./holds.ts";
import { lower, lowerDone } from "./lower.ts";
import { powerDone } from "./power.ts";
import type { Hold, Step } from "./state.ts";
import type { Service } from "./types.ts";

/** An action ended. One that nobody waits for any more, because another took its place, changes nothing. */
export function onDone(draft: Draft, action: string, ok: boolean, reason: string | undefined): void {
  if (powerDone(draft, action, ok, reason)) return;
  for (const [name, hold] of Object.entries(draft.state.holds)) {
    const service = draft.services.get(name);
    if (service === undefined) continue;
    if (hold.startAction === action) {
      hold.startAction = null;
      if (!ok) return endHold(draft, service, `did not start: ${reason ?? "no reason given"}`);
    }
    if (hold.step?.action === action) return stepDone(draft, service, hold, hold.step, ok, reason);
  }
}

function stepDone(
  draft: Draft,
  service: Service,
  hold: Hold,
  step: Step,
  ok: boolean,
  reason: string | undefined,
): void {
  if (step.kind === "lower") return lowerDone(draft, service, hold, step, ok, reason);
  if (step.kind === "raise" && !ok) return raiseFailed(draft, service, hold, reason);
  if (hold.lease === null && !hold.wants) {
    delete draft.state.holds[service.name];
    const what = step.kind === "raise" ? "raised" : "started";
    say(draft, what, "rests on the card, and holds nothing", { service: service.name });
    return;
  }
  if (step.kind === "raise" && hold.lease === null)
    say(draft, "raised", "goes on", { service: service.name, token: hold.token });
  run(draft, service, hold);
}

/** A service that cannot be raised is ended in the end: better gone than frozen for ever. */
function raiseFailed(draft: Draft, service: Service, hold: Hold, reason: string | undefined): void {
  const { raiseTries } = draft.config.ladder;
  const overdue = hold.step !== null && draft.now >= hold.step.deadlineMs;
  // Nobody is ended while the card's heat is unknown: then it is tried again at its deadline.
  if (hold.failures >= raiseTries && draft.gates.blind && !overdue) return;
  hold.failures += 1;
  say(draft, "raise-failed", reason ?? "no reason given", { service: service.name });
  if (hold.failures < raiseTries || draft.gates.blind) raise(draft, service, hold);
  else lower(draft, service, "end", "it cannot be raised");
}

/** Actions that took too long count as failed; a late answer changes nothing. */
export function expireSteps(draft: Draft): void {
  for (const [name, hold] of Object.entries(draft.state.holds)) {
    const service = draft.services.get(name);
    const { step } = hold;
    if (service === undefined || step === null || draft.now < step.deadlineMs) continue;
    const reason = `no answer within ${String(step.deadlineMs - step.sinceMs)} ms`;
    if (step.kind === "start") {
      if (draft.gates.blind) continue;
      say(draft, "start-failed", reason, { service: name });
      lower(draft, service, "end", "it did not start");
    } else stepDone(draft, service, hold, step, false, reason);
  }
}

/** The processes of a service are gone, and with them its hold. */
export function onExited(draft: Draft, name: string): void {
  const service = draft.services.get(name);
  if (service !== undefined && holdOf(draft, name) !== undefined) endHold(draft, service, "its processes are gone");
}
