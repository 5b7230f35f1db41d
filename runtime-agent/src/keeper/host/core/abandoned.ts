/**
 * Handoffs that ended before the VM with the arbiter was stopped. The arbiter has promised, or is about to promise, that
 * it grants nothing for two minutes; it is told that it need not wait, again until it confirms.
 *
 * Told only of plans under which no stop of that VM was ever ordered: an order that failed, or was sent by a process
 * that died, may still be carried out. Then the promise runs to its end.
 */
import type { HandoffPlan } from "./handoffPlan.ts";
import type { HostObservation } from "./types.ts";

export interface Abandoned {
  /** Of the handoff, and so of its release. */
  readonly id: string;
  /** Monotonic ms since which it is to be told, by this process. */
  readonly sinceMs: number;
}

/** No promise is longer (`mostReleaseMs` of the link): after this there is nothing left to take back, ms. */
const longestPromiseMs = 30 * 60_000;

/** Whether this move ends a plan whose release the arbiter may have given, and nothing was done under. */
export function abandons(was: HandoffPlan, now: HandoffPlan, { arbiter }: HostObservation): boolean {
  const forward = was.step === "ask" || was.step === "stop-from";
  const back = now.step.startsWith("undo-") || now.step === "undone";
  return forward && back && now.untouched === true && arbiter?.vmid === was.fromVmid;
}

/** Those that the arbiter has still to be told of. */
export function stillAbandoned(list: readonly Abandoned[], observation: HostObservation): readonly Abandoned[] {
  const confirmed = observation.arbiter?.takenBack ?? [];
  return list.filter(
    ({ id, sinceMs }) => !confirmed.includes(id) && observation.monotonicMs - sinceMs < longestPromiseMs,
  );
}
