/** Plays a scenario against the daemon: its loop, executor, journal on the disk, and API on a socket. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setImmediate as breathe } from "node:timers/promises";
import { wakeAtMs } from "../../runtime-agent/src/keeper/arbiter/core/wake.ts";
import type { Decision } from "../../runtime-agent/src/keeper/arbiter/core/types.ts";
import type { ScenarioEvent, Scenario } from "./keeperScenario.ts";
import type { PlayedLine } from "./keeperPlay.ts";
import { DaemonLife } from "./keeperDaemonWorldLife.ts";
import { DaemonMachine } from "./keeperDaemonWorldServices.ts";
import { ManualTime } from "./keeperDaemonWorldTime.ts";
import { readDecisions } from "./keeperDaemonWorldJournal.ts";

/** One renewal in so many goes over the socket. */
const callEvery = 10;
/**
 * How much later than the core's own play a line may stand, ms: the daemon writes a freeze with the turn after it, and
 * its actions of one service wait for each other.
 */
const slackMs = 25;
/** Longest time from a decision to its line, ms. */
const flushMs = 20;

export class DaemonPlay {
  readonly #scenario: Scenario;
  readonly #folder: string;
  readonly #loadFile: string;
  readonly #time: ManualTime;
  readonly #machine: DaemonMachine;
  /** When each decision was written, by number. */
  readonly #written = new Map<number, { readonly atMs: number; readonly wallMs: number }>();
  #life: DaemonLife;
  #boots = 1;
  #bootedMs: number;
  #tickAt: number;
  #calls = 0;

  constructor(scenario: Scenario, folder: string, pids: readonly number[]) {
    this.#scenario = scenario;
    this.#folder = folder;
    this.#loadFile = path.join(folder, "loadavg");
    this.#time = new ManualTime(scenario.startMs);
    this.#machine = new DaemonMachine(scenario, this.#time, pids);
    // Monotonic time at the start of every scenario: not zero, and no wall-clock time.
    this.#bootedMs = scenario.startMs - 5_000_000;
    this.#tickAt = scenario.startMs;
    this.#writeLoad();
    this.#life = this.#newLife();
  }

  /** Plays it to its end; gives the lines that the daemon's journal holds. */
  run(): Promise<PlayedLine[]> {
    return this.#time.rule(async () => {
      try {
        await this.#start();
        await this.#play();
        await this.#life.kill();
        return await this.#journal();
      } finally {
        await this.#life.kill();
      }
    });
  }

  #newLife(): DaemonLife {
    const { config } = this.#scenario;
    return new DaemonLife({
      config,
      folder: this.#folder,
      loadFile: this.#loadFile,
      machine: this.#machine,
      boot: `boot-${String(this.#boots)}`,
      monotonicMs: () => this.#time.nowMs - this.#bootedMs,
      wallMs: () => this.#time.nowMs + this.#machine.world.jumpMs,
      // The regular beat of the loop is that of the scenario.
      beatMs: (state) =>
        Math.min(this.#tickAt, (wakeAtMs(state, config) ?? Infinity) + this.#bootedMs) - this.#time.nowMs,
      onDecision: (number) => {
        this.#written.set(number, { atMs: this.#time.nowMs, wallMs: this.#time.nowMs + this.#machine.world.jumpMs });
      },
    });
  }

  async #start(): Promise<void> {
    await this.#during(this.#life.open());
  }

  async #play(): Promise<void> {
    const { startMs, endMs, tickMs } = this.#scenario;
    const events = [...this.#scenario.events];
    this.#time.nowMs = startMs;
    for (;;) {
      const now = Math.min(this.#tickAt, events[0]?.atMs ?? Infinity, this.#time.nextMs, this.#life.dueMs);
      if (now > endMs) return;
      this.#time.nowMs = Math.max(this.#time.nowMs, now);
      this.#time.fireDue();
      await this.#quiet(false);
      while (events[0] !== undefined && events[0].atMs <= this.#time.nowMs) await this.#happen(events.shift());
      if (this.#tickAt <= this.#time.nowMs) {
        this.#tickAt += tickMs;
        this.#machine.card.takeSample();
        this.#life.sampled();
        await this.#quiet(false);
        for (const { id } of this.#renewals()) {
          if (this.#calls % callEvery === 0) await this.#life.client.renew(id);
          else this.#life.renew(id);
          this.#calls += 1;
        }
      }
      await this.#quiet(true);
      assert.deepEqual(this.#life.faults, [], new Date(this.#time.nowMs).toISOString());
    }
  }

  /** As the kernel writes it; no file when the scenario's load is unreadable. */
  #writeLoad(): void {
    const { load1 } = this.#machine.world;
    if (load1 === undefined) rmSync(this.#loadFile, { force: true });
    else writeFileSync(this.#loadFile, `${String(load1)} 0.00 0.00 1/100 1000\n`);
  }

  #renewals(): readonly { readonly id: string }[] {
    return this.#machine.world.renewals().flatMap((event) => (event.kind === "renew" ? [event] : []));
  }

  async #happen(event: ScenarioEvent | undefined): Promise<void> {
    if (event === undefined) return;
    const [verb, a = "", b = ""] = event.words;
    const { client } = this.#life;
    if (verb === "crash" || verb === "reboot") return this.#die(verb === "reboot");
    const before = this.#machine.world.leases.has(a);
    const heard = this.#machine.world.happen(event.words);
    if (verb === "load") this.#writeLoad();
    if (verb === "exit") this.#machine.exits(a);
    if (verb === "uses") this.#machine.runs(a);
    for (const each of heard) {
      if (each.kind === "request") {
        if (this.#scenario.config.services.find(({ name }) => name === a)?.kind === "interactive")
          this.#machine.runs(a);
        await client.request(each.service, b);
      } else if (each.kind === "renew") await client.renew(a);
      else if (each.kind === "release") await client.release(a, before);
    }
  }

  async #die(rebooted: boolean): Promise<void> {
    await this.#quiet(false);
    await this.#life.kill();
    this.#time.drop();
    this.#machine.crash();
    if (rebooted) {
      this.#boots += 1;
      this.#bootedMs = this.#time.nowMs - 1000;
      this.#machine.boot();
    }
    this.#life = this.#newLife();
    await this.#start();
  }

  /** Lets real work (disk, socket) end; with `turn`, also the turns of the loop that are due now. */
  async #quiet(turn: boolean): Promise<void> {
    const life = this.#life;
    for (;;) {
      await breathe();
      if (await life.working()) continue;
      if (life.dueMs === Infinity) continue;
      if (await life.client.hear()) continue;
      if (!turn) return;
      if (life.deliver() || this.#time.fireDue()) continue;
      if (life.dueMs > this.#time.nowMs) return;
      life.wakeUp();
    }
  }

  /** Waits for something that needs simulated time too. */
  async #during(work: Promise<unknown>): Promise<void> {
    let over = false;
    const end = work.finally(() => (over = true));
    while (!over) {
      await breathe();
      if (!over && this.#time.nextMs < Infinity && !(await this.#life.working())) {
        await breathe();
        if (!over && this.#time.nextMs <= this.#time.nowMs) this.#time.fireDue();
      }
    }
    await end;
  }

  /** The expected millisecond of a line that stands a little later than that. */
  #asTheCore({ what, reason }: Decision, atMs: number): number {
    const near = this.#scenario.expected.findLast(
      (line) =>
        line.toTheMs &&
        line.what === what &&
        reason.includes(line.reason ?? "") &&
        atMs >= line.atMs &&
        atMs - line.atMs <= slackMs,
    );
    return near?.atMs ?? atMs;
  }

  async #journal(): Promise<PlayedLine[]> {
    const decisions = await readDecisions(path.join(this.#folder, "journal"));
    return decisions.map((decision, index) => {
      assert.equal(decision.number, index + 1, "no decision is missing in the journal");
      const seen = this.#written.get(decision.number);
      const earlierMs = (seen?.wallMs ?? 0) - Date.parse(decision.time);
      assert.ok(earlierMs >= 0 && earlierMs <= flushMs, "a line tells when it was decided, and is written soon");
      return { ...decision, atMs: this.#asTheCore(decision, seen?.atMs ?? 0) };
    });
  }
}
