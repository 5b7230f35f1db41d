/**
 * Holds the card at the wanted limits: remember what it had, set, read back, set again after a driver reload, restore.
 *
 * What the card had is recorded before the first change, by a callback that must be durable when it resolves: after a
 * crash the next agent gets it back as `recorded` and can restore it.
 */
import { ChildFault } from "./childFault.ts";
import { clampClockMHz, clampWatts, fullLimits } from "./limits.ts";
import type { GpuLimits, LimitOutcome, OriginalLimits, WantedLimits } from "./types.ts";

/** The driver, each call ended by its own deadline. A call rejects with a `ChildFault`. */
export interface LimitCalls {
  limits(): Promise<GpuLimits>;
  setPowerLimit(watts: number): Promise<void>;
  lockGraphicsClock(maxMHz: number): Promise<void>;
  resetGraphicsClock(): Promise<void>;
  /** UUID of the card, known once it was opened. */
  uuid(): string | undefined;
}

/** Makes the original limits durable; `undefined` once they are back. */
export type RecordOriginal = (original: OriginalLimits | undefined) => Promise<void>;

/** Drivers round a limit to their own step; a watt is below any step that matters. */
const toleranceWatts = 1;

export class LimitKeeper {
  readonly #calls: LimitCalls;
  readonly #record: RecordOriginal;
  #recorded: OriginalLimits | undefined;
  #original: OriginalLimits | undefined;
  #wanted: WantedLimits = fullLimits;
  #clockLocked = false;
  #turn: Promise<unknown> = Promise.resolve();

  /** `recorded` is what an earlier agent noted and did not restore; its clocks may still be locked. */
  constructor(calls: LimitCalls, record: RecordOriginal, recorded: OriginalLimits | undefined) {
    this.#calls = calls;
    this.#record = record;
    this.#recorded = recorded;
    this.#clockLocked = recorded !== undefined;
  }

  original(): OriginalLimits | undefined {
    return this.#original ?? this.#recorded;
  }

  get wanted(): WantedLimits {
    return this.#wanted;
  }

  /** Whether anything is held that a driver reload would undo. */
  get holds(): boolean {
    return this.#wanted.powerLimitWatts !== undefined || this.#wanted.maxGraphicsClockMHz !== undefined;
  }

  apply(wanted: WantedLimits): Promise<LimitOutcome> {
    return this.#inTurn(async () => {
      this.#wanted = wanted;
      return this.#set(wanted);
    });
  }

  /** Changes one part of what is wanted. */
  change(part: Partial<WantedLimits>): Promise<LimitOutcome> {
    return this.#inTurn(async () => {
      this.#wanted = { ...this.#wanted, ...part };
      return this.#set(this.#wanted);
    });
  }

  /** Sets what is wanted once more. */
  again(): Promise<LimitOutcome> {
    return this.#inTurn(() => this.#set(this.#wanted));
  }

  restore(): Promise<LimitOutcome> {
    return this.#inTurn(async () => {
      this.#wanted = fullLimits;
      if (this.original() === undefined) {
        return { ok: true, powerLimitWatts: undefined, maxGraphicsClockMHz: undefined, clamped: false };
      }
      const outcome = await this.#set(fullLimits);
      if (outcome.ok) {
        await this.#record(undefined);
        this.#recorded = undefined;
        this.#original = undefined;
      }
      return outcome;
    });
  }

  /** One change at a time; a failure is an outcome, never a rejection. */
  #inTurn(work: () => Promise<LimitOutcome>): Promise<LimitOutcome> {
    const run = this.#turn.then(work).catch((error: unknown): LimitOutcome => {
      const reason = error instanceof Error ? error.message : String(error);
      return { ok: false, reason: error instanceof ChildFault ? reason : `limits: ${reason}` };
    });
    this.#turn = run;
    return run;
  }

  async #remember(limits: GpuLimits): Promise<OriginalLimits> {
    const uuid = this.#calls.uuid() ?? "";
    // A record of another card (it was swapped) says nothing about this one.
    if (this.#recorded && this.#recorded.uuid === uuid) return this.#recorded;
    const original = { uuid, powerLimitWatts: limits.powerLimitWatts };
    await this.#record(original);
    this.#recorded = original;
    return original;
  }

  async #set(wanted: WantedLimits): Promise<LimitOutcome> {
    const before = await this.#calls.limits();
    const original = await this.#remember(before);
    this.#original = original;
    const faults: string[] = [];
    let clamped = false;

    const wishWatts = wanted.powerLimitWatts ?? original.powerLimitWatts;
    const watts = wishWatts === undefined ? undefined : clampWatts(wishWatts, before);
    if (wanted.powerLimitWatts !== undefined && watts === undefined)
      faults.push("the card's power limit cannot be set");
    if (watts !== undefined) {
      clamped ||= watts !== wishWatts;
      if (before.powerLimitWatts !== watts) await this.#calls.setPowerLimit(watts);
    }

    const wishMHz = wanted.maxGraphicsClockMHz;
    const maxMHz = wishMHz === undefined ? undefined : clampClockMHz(wishMHz, before);
    if (wishMHz !== undefined && maxMHz === undefined) faults.push("the card does not tell its maximum graphics clock");
    if (maxMHz !== undefined) {
      clamped ||= maxMHz !== Math.round(wishMHz ?? maxMHz);
      this.#clockLocked = true;
      await this.#calls.lockGraphicsClock(maxMHz);
    } else if (this.#clockLocked) {
      await this.#calls.resetGraphicsClock();
      this.#clockLocked = false;
    }

    const after = await this.#calls.limits();
    if (watts !== undefined && Math.abs((after.powerLimitWatts ?? 0) - watts) > toleranceWatts) {
      faults.push(`the power limit was set to ${watts} W and reads ${after.powerLimitWatts ?? "nothing"}`);
    }
    if (faults.length > 0) return { ok: false, reason: faults.join("; ") };
    return { ok: true, powerLimitWatts: after.powerLimitWatts, maxGraphicsClockMHz: maxMHz, clamped };
  }
}
