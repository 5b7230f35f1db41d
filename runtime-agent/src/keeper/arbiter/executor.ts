/**
 * Carries out what the core asks for: at once, beside the loop, the actions of one service in their order. Each ends
 * within its deadline and comes back as an event; the core decides what a failure means.
 */
import { failpoint } from "../../shared/failpoints.ts";
import type { Log } from "../../shared/log.ts";
import { textOf } from "../processes/errors.ts";
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
/** An action that does not even keep its own deadline holds up those behind it for no longer than this factor of it. */
const overrun = 1.5;
const takeBackMs = 2_000;

export class Executor {
  readonly #ports: ExecutorPorts;
  readonly #chains = new Map<string, Promise<void>>();
  /** By service: actions up to this number of its chain were overtaken by a kill. */
  readonly #overtaken = new Map<string, number>();
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

  #queue(action: Work): void {
    const key = action.kind === "power" ? "" : action.service;
    this.#count += 1;
    const number = this.#count;
    // A kill waits for nobody: what it overtakes fails on processes that are gone.
    const urgent = action.kind === "lower" && action.rung === "kill";
    if (urgent) this.#overtaken.set(key, number - 1);
    const before = this.#chains.get(key);
    const run = async (): Promise<void> => {
      if (!urgent && number <= (this.#overtaken.get(key) ?? 0)) return this.#end(action, "overtaken by a kill");
      await this.#carryOut(action);
    };
    // Nothing in the way: begun now, for a preemption is measured in milliseconds.
    const work = before === undefined || urgent ? run() : before.then(run);
    const chain = (before === undefined ? work : Promise.all([before, work]).then(() => undefined)).then(() => {
      if (this.#chains.get(key) === chain) this.#chains.delete(key);
    });
    this.#chains.set(key, chain);
  }

  async #carryOut(action: Work): Promise<void> {
    const deadlineMs = this.#deadlineMs(action);
    let fault: string | undefined;
    try {
      await failpoint("executor.before");
      fault = await within(this.#work(action, deadlineMs), deadlineMs * overrun, "no answer");
      await failpoint("executor.after");
    } catch (error) {
      fault = textOf(error);
    }
    this.#end(action, fault);
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
    else if (action.kind === "raise") await undo(action.service, action.rungs, handles, rungs, deadlineMs);
    else {
      // What a crash left frozen would count as started.
      await letRun(handles, deadlineMs);
      await handles.process.start(deadlineMs);
      this.#ports.started(action.service);
    }
    return undefined;
  }
}
