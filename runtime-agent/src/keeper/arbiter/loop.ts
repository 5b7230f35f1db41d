/**
 * The one writer of the arbiter's state: take what happened, look, decide, record, act. Woken at once by an event, else
 * once a second.
 *
 * A turn is written before it takes effect, so that it survives the death of the agent; it is synced soon after. A
 * power cut ends every process and with it every lease, so that a grant need not wait for the disk: only fencing tokens
 * must outlive it, and those are reserved ahead (`memory.ts`).
 *
 * One exception: freezing and stopping begin at once, and their record follows with the next turn's, at most `flushMs`
 * later. The kernel itself says what is frozen, and every start of the agent asks it.
 */
import type { Clock } from "../../shared/clock.ts";
import { failpoint } from "../../shared/failpoints.ts";
import type { Log } from "../../shared/log.ts";
import { textOf } from "../processes/errors.ts";
import type { ArbiterConfig } from "./core/config.ts";
import { decide } from "./core/decide.ts";
import type { ArbiterState } from "./core/state.ts";
import type { Action, Event, Observation, Outcome } from "./core/types.ts";
import { wakeAtMs } from "./core/wake.ts";
import { durablePart, keptFrom } from "./record.ts";
import type { Turn } from "./record.ts";

export interface LoopPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly observe: (events: readonly Event[]) => Observation;
  /** Writes turns down, all or none, so that they survive the agent's death. Rejects when it cannot. */
  readonly record: (turns: readonly Turn[]) => Promise<void>;
  readonly perform: (actions: readonly Action[]) => void;
  /** Sets services free whose freeze was begun and could not be recorded. */
  readonly takeBack: (services: readonly string[]) => void;
  /** After each completed turn. */
  readonly completed: (state: ArbiterState, tookMs: number) => void;
}

interface Letter {
  readonly event: Event;
  readonly taken: () => void;
}

const everyMs = 1000;
/** Longest time that a turn may stay unrecorded, ms. */
const flushMs = 20;
/** Pause after a failed write, ms. */
const blockedMs = 250;
/** Events that may wait; requests beyond are turned away. */
const mostLetters = 4096;
/** How far the numbers of actions jump when turns are taken back, so that none of theirs is given out twice. */
const actionGap = 1000;

/** Whether the kernel itself remembers the action for us. */
function isInKernel(action: Action): boolean {
  return action.kind === "lower" && (action.rung === "freeze" || action.rung === "stop");
}

export class DecisionLoop {
  readonly #ports: LoopPorts;
  #config: ArbiterConfig;
  #state: ArbiterState;
  /** The state that is written down, and what happened since. */
  #durable: ArbiterState;
  #durablePart: string;
  #ahead: { readonly outcome: Turn; readonly letters: readonly Letter[] }[] = [];
  #inbox: Letter[] = [];
  #wake: (() => void) | undefined;
  /** Woken during a turn, which may have looked before what it was woken for: the next one begins at once. */
  #woken = false;
  #fault: string | undefined;
  #stopping = false;

  constructor(ports: LoopPorts, state: ArbiterState, config: ArbiterConfig) {
    this.#ports = ports;
    this.#config = config;
    this.#state = state;
    this.#durable = state;
    this.#durablePart = durablePart(state);
  }

  get state(): ArbiterState {
    return this.#state;
  }

  get config(): ArbiterConfig {
    return this.#config;
  }

  /** Why nothing can be written; undefined while it can. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** Whether no more requests should be taken in. */
  get full(): boolean {
    return this.#inbox.length >= mostLetters;
  }

  /** Hands an event in; ends when a turn has taken it and is in force, or keeps it until it can be written. */
  push(event: Event): Promise<void> {
    return new Promise((taken) => {
      this.#inbox.push({ event, taken });
      this.wake();
    });
  }

  /** Something outside changed: the next turn begins at once. */
  wake(): void {
    this.#woken = true;
    this.#wake?.();
  }

  stop(): void {
    this.#stopping = true;
    this.wake();
  }

  /**
   * Puts a recovered state and its configuration in place. Carried out even when it cannot be recorded: the next start
   * would come to the same from what is written down.
   */
  async adopt(adopted: Outcome, config: ArbiterConfig): Promise<void> {
    this.#config = config;
    const outcome = { ...adopted, wallMs: this.#ports.clock.wallMs() };
    try {
      await this.#ports.record([...this.#ahead.map(({ outcome: each }) => each), outcome]);
      this.#written(this.#ahead.splice(0));
    } catch (error) {
      this.#refused(error, [], this.#state);
    }
    this.#settle(outcome);
    this.#ports.perform(outcome.actions);
  }

  /** Runs until it is stopped. */
  async run(between: () => Promise<void> = async () => undefined): Promise<void> {
    while (!this.#stopping) {
      await between();
      const began = performance.now();
      await this.turn();
      this.#ports.completed(this.#state, performance.now() - began);
      await this.#idle();
    }
    if (this.#ahead.length > 0) await this.#flush().catch(() => undefined);
  }

  /** One turn. Never rejects: what cannot be written is tried again. */
  async turn(): Promise<void> {
    const letters = this.#inbox.splice(0);
    this.#woken = false;
    const seen = this.#ports.observe(letters.map(({ event }) => event));
    const outcome = { ...decide(this.#state, seen, this.#config), wallMs: seen.wallMs };
    await failpoint("arbiter.decided");
    if (this.#fault === undefined && outcome.actions.every(isInKernel)) {
      const isNew = this.#isNew(outcome);
      if (isNew) this.#ahead.push({ outcome, letters });
      this.#state = outcome.state;
      this.#ports.perform(outcome.actions);
      if (!isNew) for (const { taken } of letters) taken();
      if (outcome.actions.length === 0 && this.#ahead.length > 0)
        await this.#flush().catch((e: unknown) => this.#refused(e, [], this.#state));
      return;
    }
    try {
      await this.#ports.record([...this.#ahead.map(({ outcome: each }) => each), outcome]);
    } catch (error) {
      this.#refused(error, letters, outcome.state);
      this.#saveLives(outcome);
      return;
    }
    await failpoint("arbiter.recorded");
    if (this.#fault !== undefined) this.#ports.log.notice("the journal can be written again: grants go on");
    this.#fault = undefined;
    const ahead = this.#ahead.splice(0);
    this.#settle(outcome);
    this.#ports.perform(outcome.actions);
    this.#written([...ahead, { letters }]);
  }

  /** Nobody is answered before what he asked for is written. */
  #written(turns: readonly { readonly letters: readonly Letter[] }[]): void {
    for (const { letters } of turns) for (const { taken } of letters) taken();
  }

  #isNew(outcome: Outcome): boolean {
    return (
      outcome.actions.length > 0 || outcome.decisions.length > 0 || durablePart(outcome.state) !== this.#durablePart
    );
  }

  #settle(outcome: Outcome): void {
    this.#state = outcome.state;
    this.#durable = outcome.state;
    this.#durablePart = durablePart(outcome.state);
  }

  async #flush(): Promise<void> {
    const ahead = this.#ahead;
    await this.#ports.record(ahead.map(({ outcome }) => outcome));
    this.#ahead = this.#ahead.slice(ahead.length);
    this.#durable = ahead.at(-1)?.outcome.state ?? this.#durable;
    this.#durablePart = durablePart(this.#durable);
    this.#written(ahead);
  }

  /**
   * Nothing can be written (full disk): back to what is written down, with every event kept for later. Holders keep what
   * they hold, what was frozen in the meantime is set free, and nothing is granted. What `seen` counts goes on.
   */
  #refused(error: unknown, letters: readonly Letter[], seen: ArbiterState): void {
    if (this.#fault === undefined) {
      this.#ports.log.error("the journal cannot be written: no grants until it can", { fault: textOf(error) });
    }
    this.#fault = textOf(error);
    const back = this.#ahead.splice(0);
    const begun = back.flatMap(({ outcome }) => outcome.actions);
    const frozen = begun.flatMap((each) => ("service" in each ? [each.service] : []));
    const kept = [...back.flatMap((each) => each.letters), ...letters];
    this.#state = { ...keptFrom(this.#durable, this.#state, seen), actions: this.#state.actions + actionGap };
    this.#inbox.unshift(...kept);
    if (frozen.length > 0) this.#ports.takeBack([...new Set(frozen)]);
    // Kept for later is as much as their senders can wait for.
    this.#written([{ letters: kept }]);
  }

  /** Heat does not wait for a disk: a kill for heat and a power cap need no memory, and are asked for again. */
  #saveLives(outcome: Outcome): void {
    this.#ports.perform(
      outcome.actions.filter(
        (action) =>
          (action.kind === "power" && action.mode === "capped") ||
          (action.kind === "lower" && outcome.state.holds[action.service]?.step?.goal === "kill"),
      ),
    );
  }

  async #idle(): Promise<void> {
    if (this.#stopping || ((this.#woken || this.#inbox.length > 0) && this.#fault === undefined)) return;
    const { clock } = this.#ports;
    const dueMs = wakeAtMs(this.#state, this.#config);
    const waits = [everyMs];
    if (dueMs !== undefined) waits.push(Math.max(0, dueMs - clock.monotonicMs()));
    if (this.#ahead.length > 0) waits.push(flushMs);
    const woken = new AbortController();
    // A wake while the disk is full must not turn the loop into a spin.
    if (this.#fault === undefined) this.#wake = () => woken.abort();
    if (this.#stopping) woken.abort();
    await clock.sleep(this.#fault === undefined ? Math.min(...waits) : blockedMs, woken.signal);
    this.#wake = undefined;
  }
}
