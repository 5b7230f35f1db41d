import type { ArbiterConfig } from "./config.ts";
import type { Draft } from "./draft.ts";
import { draftOf, outcomeOf } from "./draft.ts";
import { retryStuck } from "./lower.ts";
import { decidePower } from "./power.ts";
import { answerAgain, onRelease, onRenew, onRequest, sweepQueue } from "./queue.ts";
import { askToLeave, expireHolds, killForHeat, restLoose } from "./safety.ts";
import { schedule } from "./schedule.ts";
import { sense } from "./sense.ts";
import type { ArbiterState } from "./state.ts";
import { expireSteps, onDone, onExited } from "./steps.ts";
import type { Event, Observation, Outcome } from "./types.ts";

export { initialState } from "./state.ts";

/**
 * One step of the arbiter: total, deterministic, and without a clock of its own. The state that comes in is not
 * changed. Called again at the same instant with no events it decides nothing more.
 */
export function decide(state: ArbiterState, observation: Observation, config: ArbiterConfig): Outcome {
  const draft = draftOf(state, observation, config);
  sense(draft);
  for (const event of observation.events) take(draft, event);
  expireSteps(draft);
  retryStuck(draft);
  expireHolds(draft);
  sweepQueue(draft);
  killForHeat(draft);
  restLoose(draft);
  askToLeave(draft);
  schedule(draft);
  answerAgain(draft);
  decidePower(draft);
  return outcomeOf(draft);
}

function take(draft: Draft, event: Event): void {
  switch (event.kind) {
    case "request":
      return onRequest(draft, event.id, event.service);
    case "renew":
      return onRenew(draft, event.id);
    case "release":
      return onRelease(draft, event.id);
    case "done":
      return onDone(draft, event.action, event.ok, event.reason);
    case "exited":
      return onExited(draft, event.service);
  }
}
