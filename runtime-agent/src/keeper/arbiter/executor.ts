/**
 * Carries out what the core asks for: at once, beside the loop, the actions of one service in their order. Each ends
 * within its deadline and comes back as an event; the core decides what a failure means.
 */
import { failpoint } from "../../shared/failpoints.ts";
import type { Log } from "../../shared/log.ts";
import { ProcessError, textOf } from "../processes/errors.ts";
import type { LadderConfig } from "./core/config.ts";
import type { Action, Event } from "./core/types.ts";
import type { Leases } from "./leases.ts";
import type { RungPorts } from "./rungs.ts";
import { letRun, lowerBy, undo } from "./rungs.ts";
import type { Services } from "./services.ts";
import { within } from "./within.ts";

type Work = Extract<Action, { readonly kind: "start" | "lower" | "raise" | "power" }>;

export interface ExecutorPorts {
  readonly log: Log;
  readonly services: () => Services;
  readonly ladder: () => LadderConfig;
  readonly rungs: RungPorts;
  readonly leases: Leases;
  readonly setPower: (mode: Extract<Action, { kind: "power" }>["mode"]) => Promise<string | undefined>;
  /** Processes of a service were seen to start. */
  readonly started: (service: string) => void;
  /** Takes the end of an action to the loop. */
  readonly done: (event: Event) => void;
}

/** Share of the core's deadline that an action gets: its own word of failure should come before the core gives it up. */
const share = 0.9;
/** An action that does not even keep its own deadline is left alone, ms after the core gave it up: others wait behind it. */
const lateMs = 10;
/**
 * Longest that a service's rungs wait for its start in flight, ms from the first of them. Nothing can be frozen before it
 * is there; a start that takes longer (an engine that pulls, a unit that waits) is ended, for a human waits.
 */
const startGraceMs = 3_000;
/** Bound of ending what a start brought that was given up meanwhile, ms. */
const endNewbornMs = 5_000;
const takeBackMs = 2_000;

export class Executor {
  readonly #ports: ExecutorPorts;
  readonly #chains = new Map<string, Promise<void>>();
  /** By service: actions up to this number of its chain were overtaken by its end. */
  readonly #overtaken = new Map<string, number>();
  /** By service: its last start, whether that is under way, and since when a rung waits for it. */
  readonly #starts = new Map<string, { readonly number: number; underWay: boolean; graceEndMs?: number }>();
  #count = 0;

  constructor(ports: ExecutorPorts) {
    this.#ports = ports;
  }

  perform(actions: readonly Action[]): void {
    const { leases } = this.#ports;
    for (const action of actions) {
      if (action.kind === "grant") leases.granted(action.lease, action.token);
      else if (action.kind === "refuse") leases.refused(action.lease, action.reason);
      else if (action.kind === "revoke") leases.ended(action.lease, action.reason);
      else this.#queue(action);
    }
  }

  /** Ends when everything asked for so far has ended, or after `ms`. */
  async settled(ms: number): Promise<void> {
    await within(Promise.all(this.#chains.values()), ms, "").catch(() => undefined);
  }

  /** Sets services free whose freeze was begun and could not be recorded. */
  takeBack(names: readonly string[]): void {
    for (const name of names) {
      const back = this.settled(takeBackMs).then(() => letRun(this.#ports.services().handles(name), takeBackMs));
      back.catch((error: unknown) => {
        this.#ports.log.warning("cannot be set free", { service: name, fault: textOf(error) });
      });
    }
  }

  /** Puts right what a look found wrong, unless something is under way for the service. */
  repair(service: string, work: () => Promise<void>): void {
    if (this.#chains.has(service)) return;
    const mended = work().catch((error: unknown) => {
      this.#ports.log.warning("cannot be put right", { service, fault: textOf(error) });
    });
    this.#chain(service, mended);
  }

  #chain(key: string, work: Promise<unknown>): void {
    const chain: Promise<void> = work.then(() => {
      if (this.#chains.get(key) === chain) this.#chains.delete(key);
    });
    this.#chains.set(key, chain);
  }

  #queue(action: Work): void {
    const key = action.kind === "power" ? "" : action.service;
    this.#count += 1;
    const number = this.#count;
    const begun = this.#starts.get(key);
    const starting = begun?.underWay === true ? begun : undefined;
    const rung = action.kind === "lower" ? action.rung : undefined;
    // A kill waits for nobody, and no end waits for a start: what it overtakes fails on processes that are gone.
    const urgent = rung === "kill" || (rung === "term" && starting !== undefined);
    if (urgent) this.#overtaken.set(key, number - 1);
    if (action.kind === "start") this.#starts.set(key, { number, underWay: true });
    const before = this.#chains.get(key);
    const run = async (): Promise<void> => {
      if (!urgent && this.#isOvertaken(key, number)) this.#end(action, "overtaken by its end");
      else await this.#carryOut(action, number);
    };
    const awaitTurn = async (turn: Promise<void>): Promise<void> => {
      try {
        await (starting === undefined || rung === undefined
          ? turn
          : within(turn, graceOf(starting), "it still starts"));
      } catch (error) {
        return this.#end(action, textOf(error));
      }
      await run();
    };
    // Nothing in the way: begun now, for a preemption is measured in milliseconds.
    const work = before === undefined || urgent ? run() : awaitTurn(before);
    this.#chain(key, before === undefined ? work : Promise.all([before, work]));
  }

  #isOvertaken(key: string, number: number): boolean {
    return number <= (this.#overtaken.get(key) ?? 0);
  }

  async #carryOut(action: Work, number: number): Promise<void> {
    const deadlineMs = this.#deadlineMs(action);
    let fault: string | undefined;
    let late = false;
    let untaken = false;
    const endMs = performance.now() + deadlineMs;
    try {
      await failpoint("executor.before");
      const work = this.#work(action, deadlineMs);
      if (action.kind === "start") this.#watchStart(action.service, number, work);
      fault = await within(work, deadlineMs / share + lateMs, "no answer");
      await failpoint("executor.after");
    } catch (error) {
      fault = textOf(error);
      late = performance.now() >= endMs || (error instanceof ProcessError && error.fault === "deadline");
      untaken = error instanceof ProcessError && ["unreachable", "unsupported", "refused"].includes(error.fault);
    }
    if (action.kind === "start" && fault !== undefined && (late || (await this.#mayLive(action.service, untaken)))) {
      // The core would let go of it with a word of failure; without one it ends it when its time is over.
      this.#ports.log.warning("a start that failed may have left processes", { service: action.service, fault });
    } else this.#end(action, fault);
  }

  /** What comes of a start that was given up for its end, however late, is ended too. */
  #watchStart(service: string, number: number, work: Promise<unknown>): void {
    const over = async (): Promise<void> => {
      const last = this.#starts.get(service);
      if (last?.number !== number) return;
      last.underWay = false;
      if (!this.#isOvertaken(service, number)) return;
      const { process } = this.#ports.services().handles(service);
      if ((await process.state()) !== "absent") await process.kill(endNewbornMs);
    };
    work.then(over, over).catch((error: unknown) => {
      this.#ports.log.error("what a start brought too late cannot be ended", { service, fault: textOf(error) });
    });
  }

  /** `untaken`: nobody was there to take the start. One that was taken by who cannot be asked any more may have worked. */
  async #mayLive(service: string, untaken: boolean): Promise<boolean> {
    const look = await this.#ports.services().look(service);
    return "state" in look ? look.state !== "absent" : !untaken;
  }

  #end(action: Work, fault: string | undefined): void {
    if (fault !== undefined) this.#ports.log.warning("action failed", { ...action, fault });
    this.#ports.done({
      kind: "done",
      action: action.id,
      ok: fault === undefined,
      ...(fault === undefined ? {} : { reason: fault }),
    });
  }

  #deadlineMs(action: Work): number {
    const ladder = this.#ports.ladder();
    if (action.kind === "lower") return ladder.deadlineMs[action.rung] * share;
    return (action.kind === "start" ? ladder.startMs : ladder.raiseMs) * share;
  }

  /** Why it failed; undefined when it did not. */
  async #work(action: Work, deadlineMs: number): Promise<string | undefined> {
    if (action.kind === "power") return this.#ports.setPower(action.mode);
    const handles = this.#ports.services().handles(action.service);
    const { rungs } = this.#ports;
    if (action.kind === "lower") await lowerBy(action.service, action.rung, handles, rungs, deadlineMs);
    else if (action.kind === "raise") {
      await undo(action.service, action.rungs, handles, rungs, deadlineMs);
      this.#ports.services().released(action.service);
    } else if (action.ifAbsent !== true || (await handles.process.state()) !== "running") {
      // What a crash left frozen would count as started.
      await letRun(handles, deadlineMs);
      await handles.process.start(deadlineMs);
      this.#ports.started(action.service);
    }
    return undefined;
  }
}

/** What is left of the time that rungs wait for a start, ms. */
function graceOf(starting: { graceEndMs?: number }): number {
  const now = performance.now();
  starting.graceEndMs ??= now + startGraceMs;
  return Math.max(1, starting.graceEndMs - now);
}
