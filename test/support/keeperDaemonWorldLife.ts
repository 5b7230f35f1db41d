/** One life of the daemon: its parts put together as the arbiter does it, from its start to its sudden end. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import type { ArbiterConfig } from "../../runtime-agent/src/keeper/arbiter/core/config.ts";
import { recover } from "../../runtime-agent/src/keeper/arbiter/core/recover.ts";
import type { ArbiterState } from "../../runtime-agent/src/keeper/arbiter/core/state.ts";
import type { Event } from "../../runtime-agent/src/keeper/arbiter/core/types.ts";
import { agentLoad } from "../../runtime-agent/src/keeper/arbiter/agentLoad.ts";
import { Executor } from "../../runtime-agent/src/keeper/arbiter/executor.ts";
import { putRight } from "../../runtime-agent/src/keeper/arbiter/kernelCheck.ts";
import { Leases } from "../../runtime-agent/src/keeper/arbiter/leases.ts";
import { DecisionLoop } from "../../runtime-agent/src/keeper/arbiter/loop.ts";
import { Memory } from "../../runtime-agent/src/keeper/arbiter/memory.ts";
import { Observer } from "../../runtime-agent/src/keeper/arbiter/observe.ts";
import { setPowerMode } from "../../runtime-agent/src/keeper/arbiter/power.ts";
import { arbiterRoutes } from "../../runtime-agent/src/keeper/arbiter/routes.ts";
import type { Clock } from "../../runtime-agent/src/shared/clock.ts";
import type { LocalApi } from "../../runtime-agent/src/shared/localApi/index.ts";
import { startLocalApi } from "../../runtime-agent/src/shared/localApi/index.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";
import { Clients, leaseOf } from "./keeperDaemonWorldClient.ts";
import type { DaemonMachine } from "./keeperDaemonWorldServices.ts";
import { MachineServices } from "./keeperDaemonWorldTable.ts";

export interface LifeOptions {
  readonly config: ArbiterConfig;
  readonly folder: string;
  /** The file that stands in for /proc/loadavg. */
  readonly loadFile: string;
  readonly machine: DaemonMachine;
  readonly boot: string;
  readonly monotonicMs: () => number;
  readonly wallMs: () => number;
  /** Time to the next regular turn of the loop, ms. */
  readonly beatMs: (state: ArbiterState) => number;
  readonly onDecision: (number: number) => void;
}

interface Parts {
  readonly memory: Memory;
  readonly loop: DecisionLoop;
  readonly observer: Observer;
  readonly api: LocalApi;
}

/** The loop's regular beat, ms. */
const everyMs = 1000;
const power = { enabled: true, ecoPercent: 60, ecoClockOffsetMHz: 200, idleSec: 60 } as const;

export class DaemonLife {
  readonly #options: LifeOptions;
  readonly #working = new Set<Promise<unknown>>();
  #parts: Parts | undefined;
  #clients: Clients | undefined;
  #sleeper: { dueMs: number; readonly wake: () => void } | undefined;
  /** Events of callers that are handed to the loop together, as those that come within one turn are. */
  #letters: { readonly event: Event; readonly taken: () => void }[] = [];
  #arrived: (() => void) | undefined;
  #dead = false;

  constructor(options: LifeOptions) {
    this.#options = options;
  }

  get client(): Clients {
    if (this.#clients === undefined) throw new Error("the daemon is not open");
    return this.#clients;
  }

  /** What of the machine is not as the loop believes. */
  get faults(): readonly string[] {
    return this.#parts === undefined ? [] : this.#options.machine.faults(this.#parts.loop.state.holds);
  }

  /** When the loop wants to be woken, on the scenario's time, ms; infinity while it works. */
  get dueMs(): number {
    return this.#sleeper?.dueMs ?? Infinity;
  }

  wakeUp(): void {
    const sleeper = this.#sleeper;
    this.#sleeper = undefined;
    sleeper?.wake();
  }

  /** Waits for what is on its way to the disk; false when nothing is. */
  async working(): Promise<boolean> {
    if (this.#working.size === 0) return false;
    await Promise.allSettled([...this.#working]);
    return true;
  }

  /** Hands what the callers sent to the loop; false when they sent nothing. */
  deliver(): boolean {
    const letters = this.#letters.splice(0);
    for (const { event, taken } of letters) void this.#parts?.loop.push(event).then(taken);
    return letters.length > 0;
  }

  /** A sample of the card was taken. */
  sampled(): void {
    const found = this.#parts?.observer.findOwners();
    if (found !== undefined) void this.#track(found);
  }

  async open(): Promise<void> {
    const { config, folder, loadFile, machine, boot, monotonicMs, wallMs } = this.#options;
    const log = createLog({ write: () => undefined });
    const clock: Clock = { monotonicMs, wallMs, sleep: (ms, signal) => this.#sleep(ms, signal) };
    const services = new MachineServices(machine);
    const leases = new Leases();
    const gpu = machine.card.device();
    const memory = await Memory.open(folder, {
      boot,
      wallMs,
      log,
      placesOf: () => ({}),
      onDecision: ({ number }) => this.#options.onDecision(number),
    });
    const rungs = {
      gpu,
      openCuda: () => machine.openCuda(),
      noteCheckpoint: (...note: Parameters<Memory["noteCheckpoint"]>) => this.#track(memory.noteCheckpoint(...note)),
      checkpointed: (service: string) => memory.shell.checkpointed[service] ?? [],
    };
    const { world } = machine;
    const observer: Observer = new Observer({
      clock,
      load1: agentLoad({ HIVE_LAB_LOAD: loadFile }),
      services: () => services,
      reading: () => gpu.latest(Infinity),
      constraint: () => machine.constraint(monotonicMs()),
      state: () => loop.state,
      exited: (service) => void this.#push({ kind: "exited", service }),
      log,
      repair: (service, work) => executor.repair(service, work),
    });
    const executor: Executor = new Executor({
      log,
      services: () => services,
      ladder: () => loop.config.ladder,
      rungs,
      leases,
      setPower: (mode) => setPowerMode(mode, gpu, power),
      started: (service) => observer.started(service),
      done: (event) => {
        if (event.kind === "done" && !this.#dead) machine.ended(event.action);
        void this.#push(event);
      },
    });
    const loop: DecisionLoop = new DecisionLoop(
      {
        clock,
        log,
        // The batches are processes that do nothing: how much of the load would be theirs, the scenario says.
        observe: (events) => ({ ...observer.observe(events), ownLoad1: world.ownLoad1 }),
        record: (turns) => this.#track(memory.record(turns)),
        perform: (actions) => {
          if (this.#dead) return;
          for (const action of actions) {
            machine.asked(action);
            this.#clients?.told(action);
          }
          executor.perform(actions);
        },
        takeBack: (names) => executor.takeBack(names),
        completed: () => void observer.look(),
      },
      memory.before.state,
      config,
    );
    const socket = path.join(folder, "api.sock");
    const tokenFile = path.join(folder, "api.token");
    const routes = arbiterRoutes({
      leases,
      state: () => loop.state,
      leaseMsOf: (service) => config.services.find(({ name }) => name === service)?.leaseMs,
      push: (event) => this.#letter(event),
      fault: () => loop.fault,
      full: () => loop.full,
      monotonicMs,
      status: () => assert.fail("no scenario asks for the status"),
      decisionsSince: () => memory.decisions,
      loopAgeMs: () => 0,
    });
    const { state, rebooted } = memory.before;
    const outcome = recover(state, { monotonicMs: monotonicMs(), rebooted }, config);
    observer.watch(await putRight(services, outcome.state, log));
    const api = await startLocalApi({ socket, tokenFile, routes, onError: (error) => this.#failed(error) });
    const token = (await readFile(tokenFile, "utf8")).trim();
    this.#clients = new Clients(socket, token, machine, () => new Promise((resolve) => (this.#arrived = resolve)));
    this.#parts = { memory, loop, observer, api };
    await loop.adopt(outcome, config);
    for (const [name, hold] of Object.entries(outcome.state.holds)) if (hold.lease === null) observer.started(name);
    await observer.look();
    // Its first turn comes when the scenario's first instant has come.
    const wake = (): void => void loop.run().catch((error: unknown) => this.#failed(error));
    this.#sleeper = { dueMs: machine.time.nowMs, wake };
  }

  /** A renewal that goes to the loop without its call, for calls cost more than the rest of a scenario. */
  renew(id: string): void {
    void this.#letter({ kind: "renew", id: leaseOf(id) });
  }

  /** Ends as a killed process does: nothing is told to anybody, nothing is flushed. */
  async kill(): Promise<void> {
    if (this.#dead) return;
    this.#dead = true;
    this.#clients?.close();
    await this.#parts?.api.close();
    await this.#parts?.memory.close();
  }

  #failed(error: unknown): void {
    // Rethrown where mocha hears it.
    if (!this.#dead) process.nextTick(() => Promise.reject(error instanceof Error ? error : new Error(String(error))));
  }

  #sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const { beatMs, machine } = this.#options;
    const state = this.#parts?.loop.state;
    const waitMs = ms === everyMs && state !== undefined ? beatMs(state) : ms;
    return new Promise((wake) => {
      const sleeper = { dueMs: machine.time.nowMs + Math.max(0, waitMs), wake };
      if (this.#dead) return;
      this.#sleeper = sleeper;
      const now = (): void => void (sleeper.dueMs = machine.time.nowMs);
      if (signal?.aborted === true) now();
      signal?.addEventListener("abort", now, { once: true });
    });
  }

  #letter(event: Event): Promise<void> {
    return new Promise((taken) => {
      if (this.#dead) return;
      this.#letters.push({ event, taken });
      this.#arrived?.();
      this.#arrived = undefined;
    });
  }

  async #push(event: Event): Promise<void> {
    if (!this.#dead) await this.#parts?.loop.push(event);
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#working.add(work);
    const end = (): void => void this.#working.delete(work);
    work.then(end, end);
    return work;
  }
}
