/**
 * The one writer of the arbiter's state: take what happened, look, decide, record, act. Woken at once by an event, else
 * once a second.
 *
 * A turn is on the disk before it takes effect, with one exception: freezing and stopping begin at once, and their
 * record follows with the next turn's, at most `flushMs` later. The kernel itself says what is frozen, and every start
 * of the agent asks it; so a human waits for one fsync and not for two.
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
import { durablePart } from "./record.ts";

export interface LoopPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly observe: (events: readonly Event[]) => Observation;
  /** Writes turns to the disk, all or none. Rejects when it cannot. */
  readonly record: (turns: readonly Outcome[]) => Promise<void>;
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
  /** The state on the disk, and what happened since. */
  #durable: ArbiterState;
  #durablePart: string;
  #ahead: { readonly outcome: Outcome; readonly letters: readonly Letter[] }[] = [];
  #inbox: Letter[] = [];
  #wake: (() => void) | undefined;
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
    this.#wake?.();
  }

  stop(): void {
    this.#stopping = true;
    this.wake();
  }

  /**
   * Puts a recovered state and its configuration in place. Carried out even when it cannot be recorded: the next start
   * would come to the same from what is on the disk.
   */
  async adopt(outcome: Outcome, config: ArbiterConfig): Promise<void> {
    this.#config = config;
    try {
      await this.#ports.record([...this.#ahead.map(({ outcome: each }) => each), outcome]);
      this.#ahead = [];
    } catch (error) {
      this.#refused(error, []);
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
    const outcome = decide(this.#state, this.#ports.observe(letters.map(({ event }) => event)), this.#config);
    await failpoint("arbiter.decided");
    if (this.#fault === undefined && outcome.actions.every(isInKernel)) {
      if (this.#isNew(outcome)) this.#ahead.push({ outcome, letters });
      this.#state = outcome.state;
      this.#ports.perform(outcome.actions);
      for (const { taken } of letters) taken();
      if (outcome.actions.length === 0 && this.#ahead.length > 0)
        await this.#flush().catch((e: unknown) => this.#refused(e, []));
      return;
    }
    try {
      await this.#ports.record([...this.#ahead.map(({ outcome: each }) => each), outcome]);
    } catch (error) {
      this.#refused(error, letters);
      this.#saveLives(outcome);
      return;
    }
    await failpoint("arbiter.recorded");
    if (this.#fault !== undefined) this.#ports.log.notice("the journal can be written again: grants go on");
    this.#fault = undefined;
    this.#ahead = [];
    this.#settle(outcome);
    this.#ports.perform(outcome.actions);
    for (const { taken } of letters) taken();
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
    const last = ahead.at(-1);
    this.#ahead = this.#ahead.slice(ahead.length);
    if (last !== undefined) {
      this.#durable = last.outcome.state;
      this.#durablePart = durablePart(last.outcome.state);
    }
  }

  /**
   * Nothing can be written (full disk): back to what is on the disk, with every event kept for later. Holders keep what
   * they hold, what was frozen in the meantime is set free, and nothing is granted.
   */
  #refused(error: unknown, letters: readonly Letter[]): void {
    if (this.#fault === undefined) {
      this.#ports.log.error("the journal cannot be written: no grants until it can", { fault: textOf(error) });
    }
    this.#fault = textOf(error);
    const back = this.#ahead.splice(0);
    const frozen = back.flatMap(({ outcome }) =>
      outcome.actions.flatMap((each) => ("service" in each ? [each.service] : [])),
    );
    const { actions, arrivals, token } = this.#state;
    this.#state = { ...this.#durable, actions: actions + actionGap, arrivals, token };
    this.#inbox.unshift(...back.flatMap(({ letters: kept }) => kept), ...letters);
    if (frozen.length > 0) this.#ports.takeBack([...new Set(frozen)]);
    // Kept for later is as much as their senders can wait for.
    for (const { taken } of letters) taken();
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
    if (this.#stopping || (this.#inbox.length > 0 && this.#fault === undefined)) return;
    const { clock } = this.#ports;
    const dueMs = wakeAtMs(this.#state, this.#config);
    const waits = [everyMs];
    if (dueMs !== undefined) waits.push(Math.max(0, dueMs - clock.monotonicMs()));
    if (this.#ahead.length > 0) waits.push(flushMs);
    const woken = new AbortController();
    const waitMs = this.#fault === undefined ? Math.min(...waits) : blockedMs;
    // A wake while the disk is full must not turn the loop into a spin.
    if (this.#fault === undefined) this.#wake = () => woken.abort();
    if (this.#stopping) woken.abort();
    await clock.sleep(this.#fault === undefined ? waitMs : Math.max(waitMs, 0), woken.signal);
    this.#wake = undefined;
  }
}
