import type { ArbiterConfig } from "./config.ts";
import { calendarOf } from "./calendar.ts";
import type { ArbiterState, Hold, Waiting } from "./state.ts";
import type { Action, Decision, Observation, Outcome, Service } from "./types.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** What may change while one call thinks; the state that came in stays as it is. */
export interface DraftState extends Mutable<
  Omit<ArbiterState, "queue" | "holds" | "dueSeq" | "startAtMs" | "unmovableUntilMs" | "rates" | "told">
> {
  queue: Waiting[];
  holds: Record<string, Hold>;
  dueSeq: Record<string, number>;
  startAtMs: Record<string, number>;
  unmovableUntilMs: Record<string, number>;
  rates: Record<string, number>;
  told: Record<string, string>;
}

/** What is allowed just now; set by `sense` before anything is decided. */
export interface Gates {
  marketOpen: boolean;
  museInside: boolean;
  handoff: boolean;
  /** Why nothing new is granted; undefined when the card is open. */
  closed: string | undefined;
  /** Whether the card's heat cannot be known: then nobody is killed, for whatever reason. */
  blind: boolean;
  /** Heat of the room as the host side says, °C. */
  roomC: number | undefined;
  /** Why rank 4 must rest for the card's sake; undefined when it need not. */
  restFour: string | undefined;
}

/** One call's working copy and what it has decided so far. */
export interface Draft {
  readonly now: number;
  readonly seen: Observation;
  readonly config: ArbiterConfig;
  readonly services: ReadonlyMap<string, Service>;
  readonly state: DraftState;
  readonly gates: Gates;
  /** Leases whose clients asked again: told once more what they hold, if they still do at the end of the call. */
  readonly askedAgain: Set<string>;
  /** Services that cannot be let in by this call: nothing that may be moved makes enough room. */
  readonly skipped: Set<string>;
  readonly actions: Action[];
  readonly decisions: Decision[];
}

type WithoutId<T> = T extends { readonly id: string } ? Omit<T, "id"> : never;

const known = new WeakMap<ArbiterConfig, ReadonlyMap<string, Service>>();

function servicesOf(config: ArbiterConfig): ReadonlyMap<string, Service> {
  const made = known.get(config) ?? new Map(config.services.map((service) => [service.name, service]));
  known.set(config, made);
  return made;
}

/** A working copy. Monotonic time never goes back, whatever the observation says. */
export function draftOf(state: ArbiterState, seen: Observation, config: ArbiterConfig): Draft {
  const now = Number.isFinite(seen.monotonicMs) ? Math.max(state.nowMs, seen.monotonicMs) : state.nowMs;
  const holds: Record<string, Hold> = {};
  for (const [name, hold] of Object.entries(state.holds)) {
    holds[name] = { ...hold, undo: [...hold.undo], tried: [...hold.tried] };
  }
  const calendar = calendarOf(config);
  return {
    now,
    seen,
    config,
    services: servicesOf(config),
    state: {
      ...state,
      nowMs: now,
      queue: [...state.queue],
      holds,
      dueSeq: { ...state.dueSeq },
      startAtMs: { ...state.startAtMs },
      unmovableUntilMs: { ...state.unmovableUntilMs },
      rates: { ...state.rates },
      told: { ...state.told },
    },
    gates: {
      marketOpen: calendar.marketOpenAt(seen.wallMs),
      museInside: calendar.museWindowAt(seen.wallMs).inside,
      handoff: false,
      closed: undefined,
      blind: false,
      roomC: undefined,
      restFour: undefined,
    },
    askedAgain: new Set(),
    skipped: new Set(),
    actions: [],
    decisions: [],
  };
}

export function outcomeOf(draft: Draft): Outcome {
  return { state: draft.state, actions: draft.actions, decisions: draft.decisions };
}

/** Asks the shell for something; gives the action's id back. */
export function act(draft: Draft, action: WithoutId<Action>): string {
  draft.state.actions += 1;
  const id = `a${String(draft.state.actions)}`;
  draft.actions.push({ id, ...action });
  return id;
}

export function say(draft: Draft, what: string, reason: string, more: Omit<Decision, "what" | "reason"> = {}): void {
  draft.decisions.push({ what, ...more, reason });
}

/** Says something once, until it changes. An undefined reason forgets it in silence. */
export function tell(draft: Draft, key: string, what: string, reason: string | undefined, service?: string): void {
  const { told } = draft.state;
  if (reason === undefined) delete told[key];
  else if (told[key] !== reason) {
    told[key] = reason;
    say(draft, what, reason, service === undefined ? {} : { service });
  }
}

export function nextToken(draft: Draft): number {
  draft.state.token += 1;
  return draft.state.token;
}

export function nextArrival(draft: Draft): number {
  draft.state.arrivals += 1;
  return draft.state.arrivals;
}

export function holdOf(draft: Draft, name: string): Hold | undefined {
  return Object.hasOwn(draft.state.holds, name) ? draft.state.holds[name] : undefined;
}

/**
 * The hold that keeps everybody else out; undefined when the card is free. Beside a running one another may be on its
 * way from frozen to gone: then it is the running one.
 */
export function occupant(draft: Draft): { readonly service: Service; readonly hold: Hold } | undefined {
  let leaving: { readonly service: Service; readonly hold: Hold } | undefined;
  for (const [name, hold] of Object.entries(draft.state.holds)) {
    const service = draft.services.get(name);
    if (hold.phase === "lowered" || service === undefined) continue;
    if (hold.phase !== "lowering") return { service, hold };
    leaving = { service, hold };
  }
  return leaving;
}
