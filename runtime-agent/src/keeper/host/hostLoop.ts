/**
 * The host side's loop: look, decide, journal, act; then the constraint, the heartbeat and the service manager. One
 * writer, one decision at a time. What takes long (Proxmox, threads) runs beside it and comes back as an event.
 */
import type { Clock } from "../../shared/clock.ts";
import { failpoint } from "../../shared/failpoints.ts";
import type { Journal } from "../../shared/journal/index.ts";
import type { Log } from "../../shared/log.ts";
import type { Calendar } from "../arbiter/core/calendar.ts";
import type { HostLink } from "../link/hostLink.ts";
import type { HostPolicy, HostState } from "./core/decide.ts";
import type { GuestSeen, HostAction, HostEvent, HostObservation, MemorySeen } from "./core/types.ts";
import type { RecordedDecision } from "./hostRoutes.ts";
import type { Watch } from "./watch.ts";
import { decideHost, handoffPlanned } from "./core/decide.ts";
import { isActive } from "./core/handoffPlan.ts";

/** What follows from the configuration and may change while the loop runs. */
export interface HostRules {
  readonly calendar: Pick<Calendar, "marketOpenAt" | "nextMarketEdge">;
  readonly policy: HostPolicy;
  readonly observeMs: number;
}

/** What the loop works with; each part is the real one or a test's. */
export interface HostParts {
  readonly clock: Clock;
  readonly journal: Pick<Journal, "append">;
  readonly log: Log;
  readonly rules: HostRules;
  readonly guests: Watch<readonly GuestSeen[]>;
  readonly memory: () => Promise<MemorySeen | undefined>;
  readonly perform: (action: HostAction) => Promise<void>;
  readonly link?: HostLink;
  /** The VM whose arbiter the link leads to; null where that is on this host. */
  readonly arbiterVmid?: number | null;
  /** Heat of the room, °C, where a sensor gives it. */
  readonly roomC?: () => number | undefined;
  /** After a completed decision loop: ESP32 and service manager. */
  readonly alive: () => void;
}

export interface HostLoop {
  readonly state: () => HostState;
  readonly decisions: () => readonly RecordedDecision[];
  readonly observation: () => HostObservation | undefined;
  tell(event: HostEvent): void;
  /** From the next turn on. What was remembered stays: rules are not part of it. */
  reconfigure(rules: HostRules): void;
  /** One turn. Throws nothing: what fails is logged and tried again. */
  turn(): Promise<void>;
  /** Ends when no action is under way. */
  settled(): Promise<void>;
}

const mostDecisions = 500;
const mostEvents = 1000;
/** An arbiter that has not answered for this long is not heard, ms. */
const silentMs = 5000;

export function createHostLoop(parts: HostParts, recovered: HostState): HostLoop {
  const { clock, log } = parts;
  let { rules } = parts;
  let state = recovered;
  let events: HostEvent[] = [];
  let last: HostObservation | undefined;
  let number = 0;
  let decisions: RecordedDecision[] = [];
  const flying = new Set<Promise<void>>();

  function carryOut(action: HostAction): void {
    if (action.kind === "ask") {
      parts.link?.requestHandoff(action.plan, action.vmid);
      return;
    }
    const work = async (): Promise<void> => {
      let end: HostEvent = { kind: "done", action: action.id, ok: true };
      try {
        await failpoint("host.before-act");
        await parts.perform(action);
        await failpoint("host.after-act");
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        end = { kind: "done", action: action.id, ok: false, reason };
        log.warning("action failed", { what: action.kind, vmid: action.vmid, reason });
      }
      events.push(end);
      // What was seen before no longer holds; the next turn is to see what the action did.
      parts.guests.forget();
      parts.guests.refresh(0);
    };
    const running = work();
    flying.add(running);
    void running.finally(() => flying.delete(running));
  }

  function observe(memory: MemorySeen | undefined): HostObservation {
    const [nowMs, wallMs] = [clock.monotonicMs(), clock.wallMs()];
    const marketOpen = rules.calendar.marketOpenAt(wallMs);
    const edge = rules.calendar.nextMarketEdge(wallMs);
    const heardMs = parts.link?.heardMs();
    const answer = parts.link?.handoff();
    const takenBack = parts.link?.takenBack() ?? [];
    return {
      monotonicMs: nowMs,
      wallMs,
      marketOpen,
      marketOpensInMs: marketOpen ? 0 : edge === undefined ? Number.POSITIVE_INFINITY : edge.atMs - wallMs,
      guests: parts.guests.value(),
      memory,
      arbiter:
        parts.link === undefined || parts.arbiterVmid === undefined
          ? undefined
          : {
              vmid: parts.arbiterVmid,
              heard: heardMs !== undefined && nowMs - heardMs <= silentMs,
              ...(answer === undefined ? {} : { answer }),
              takenBack,
            },
      events,
    };
  }

  async function turn(): Promise<void> {
    parts.guests.refresh(isActive(state.kept.handoff) ? 1000 : rules.observeMs);
    const observation = observe(await parts.memory());
    const outcome = decideHost(state, observation, rules.policy);
    const changed = JSON.stringify(outcome.state.kept) !== JSON.stringify(state.kept);
    if (changed || outcome.decisions.length > 0 || outcome.actions.length > 0) {
      const at = clock.wallMs();
      const lines = [
        ...outcome.decisions.map((decision) => ({ kind: "decision", at, ...decision })),
        ...outcome.actions.map((action) => ({ kind: "action", at, action })),
        ...(changed ? [{ kind: "kept", at, kept: outcome.state.kept }] : []),
      ];
      try {
        await failpoint("host.before-journal");
        await parts.journal.append(lines);
      } catch (error) {
        // Nothing is done that is not journaled; the same events are decided on again at the next turn. The loop is
        // alive all the same: a full disk is no reason to reset the machine.
        log.error("journal", { error });
        finish(observation);
        return;
      }
      for (const decision of outcome.decisions) {
        number += 1;
        decisions.push({ number, time: new Date(at).toISOString(), ...decision });
        log.notice("decided", { ...decision });
      }
      decisions = decisions.slice(-mostDecisions);
    }
    // Events that came while the journal was written are for the next turn.
    events = events.filter((event) => !observation.events.includes(event));
    state = outcome.state;
    // Written down as ended, and before anything new is asked; said at each turn until the arbiter confirms it.
    for (const { id } of state.kept.abandoned) {
      await failpoint("host.before-take-back");
      parts.link?.takeBack(id);
    }
    for (const action of outcome.actions) carryOut(action);
    finish(observation);
  }

  function finish(observation: HostObservation): void {
    last = observation;
    const roomC = parts.roomC?.();
    parts.link?.setConstraint({
      marketOpen: observation.marketOpen,
      handoff: handoffPlanned(state),
      ...(roomC === undefined ? {} : { roomC }),
    });
    parts.alive();
  }

  return {
    state: () => state,
    decisions: () => decisions,
    observation: () => last,
    tell(event) {
      if (events.length < mostEvents) events = [...events, event];
    },
    reconfigure(next) {
      rules = next;
    },
    async turn() {
      try {
        await turn();
      } catch (error) {
        log.error("loop", { error });
      }
    },
    async settled() {
      await Promise.all(flying);
    },
  };
}
