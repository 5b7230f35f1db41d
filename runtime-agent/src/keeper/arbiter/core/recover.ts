import type { ArbiterConfig } from "./config.ts";
import { act, draftOf, nextToken, outcomeOf, say } from "./draft.ts";
import type { Draft } from "./draft.ts";
import { askToStart, endHold } from "./holds.ts";
import { lower } from "./lower.ts";
import type { ArbiterState, Hold } from "./state.ts";
import type { Outcome, Service } from "./types.ts";

/**
 * What must be undone or asked again when the arbiter starts with the state of its predecessor. `monotonicMs` is now;
 * `rebooted` says that the machine was started since, so that no process of then is left and monotonic time began anew.
 *
 * Tokens and the numbers of actions go on. Requests that waited are forgotten: their connections are gone, and their
 * clients ask again. Leases stay with their clients, to be renewed for one whole period. An action in flight is asked
 * again under a new id: whether it was carried out is not known, and every action may be done twice.
 */
export function recover(
  state: ArbiterState,
  now: { readonly monotonicMs: number; readonly rebooted: boolean },
  config: ArbiterConfig,
): Outcome {
  const nowMs = Number.isFinite(now.monotonicMs) ? Math.max(0, now.monotonicMs) : state.nowMs;
  const rebooted = now.rebooted || nowMs < state.nowMs;
  const seen = {
    wallMs: Number.NaN,
    load1: undefined,
    gpu: { kind: "absent" },
    constraint: undefined,
    events: [],
  } as const;
  const draft = draftOf({ ...state, nowMs: 0 }, { ...seen, monotonicMs: nowMs }, config);
  Object.assign(draft.state, {
    queue: [],
    told: {},
    unknownPids: [],
    settle: null,
    loadLowSinceMs: null,
    thermal: { ...state.thermal, sample: null, sampleAtMs: nowMs, hotSamples: 0, countedAtMs: nowMs - 1_000_000 },
    power: { mode: null, action: null, retryAtMs: null, idleSinceMs: null },
  });
  // After a reboot old times mean nothing; scans are due one period from now, as at the first start.
  if (rebooted) Object.assign(draft.state, { startAtMs: {}, dueSeq: {}, unmovableUntilMs: {} });
  for (const [name, hold] of Object.entries(draft.state.holds)) {
    const service = draft.services.get(name);
    if (service === undefined) forget(draft, name, hold);
    else if (rebooted) endHold(draft, service, "the machine was started anew");
    else askAgain(draft, service, hold);
  }
  return outcomeOf(draft);
}

/** A service taken out of the configuration: it is set free as it was, and holds nothing any more. */
function forget(draft: Draft, name: string, hold: Hold): void {
  delete draft.state.holds[name];
  if (hold.undo.length > 0) {
    act(draft, { kind: "raise", service: name, rungs: [...hold.undo], token: nextToken(draft) });
  }
  say(draft, "recover", "no longer configured: set free", { service: name });
}

function askAgain(draft: Draft, service: Service, hold: Hold): void {
  const { ladder } = draft.config;
  const step = hold.step;
  hold.sinceMs = draft.now;
  if (hold.untilMs !== null && hold.phase === "running") hold.untilMs = draft.now + service.leaseMs;
  say(draft, "recover", hold.phase, { service: service.name, token: hold.token });
  if (step === null) return;
  if (step.kind === "lower" && step.rung !== null && step.goal !== null) {
    hold.tried = hold.tried.filter((rung) => rung !== step.rung);
    lower(draft, service, step.goal, hold.why ?? "lowered", step.gentle);
    return;
  }
  const again = { ...step, sinceMs: draft.now };
  if (step.kind === "start") {
    const action = askToStart(draft, service, hold, service.kind === "interactive");
    hold.step = { ...again, action, deadlineMs: draft.now + ladder.startMs };
  } else {
    const action = act(draft, { kind: "raise", service: service.name, rungs: [...hold.undo], token: hold.token });
    hold.step = { ...again, action, deadlineMs: draft.now + ladder.raiseMs };
  }
}
