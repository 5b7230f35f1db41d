// The loop and its memory when the disk is full, and while a record is on its way.
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { initialState } from "../../runtime-agent/src/keeper/arbiter/core/decide.ts";
import type { ArbiterState } from "../../runtime-agent/src/keeper/arbiter/core/state.ts";
import type { Action, Event, Gpu, Observation } from "../../runtime-agent/src/keeper/arbiter/core/types.ts";
import { DecisionLoop } from "../../runtime-agent/src/keeper/arbiter/loop.ts";
import { Memory } from "../../runtime-agent/src/keeper/arbiter/memory.ts";
import type { Turn } from "../../runtime-agent/src/keeper/arbiter/record.ts";
import { Services } from "../../runtime-agent/src/keeper/arbiter/services.ts";
import { manualClock } from "../../runtime-agent/src/shared/clock.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";
import { temporaryFolder } from "../support/agentChild.ts";
import { modelConfig } from "../support/keeperModel.ts";

const log = createLog({ write: () => undefined });
const startMs = Date.UTC(2026, 10, 17, 22, 30);

/** The loop by hand: a turn is played when the test says so, and the disk takes what the test lets it take. */
class Bench {
  readonly clock = manualClock(startMs, 1000);
  readonly performed: Action[] = [];
  readonly recorded: Turn[] = [];
  readonly loop: DecisionLoop;
  disk: () => Promise<void> = () => Promise.resolve();
  celsius = 40;
  #sample = 0;

  constructor(state: ArbiterState) {
    this.loop = new DecisionLoop(
      {
        clock: this.clock,
        log,
        observe: (events) => this.#see(events),
        record: async (turns) => {
          await this.disk();
          this.recorded.push(...turns);
        },
        perform: (actions) => void this.performed.push(...actions),
        takeBack: () => undefined,
        completed: () => undefined,
      },
      state,
      { ...modelConfig, linked: false },
    );
  }

  full(): void {
    this.disk = () => Promise.reject(new Error("no space left"));
  }

  async turn(passMs: number, ...events: readonly Event[]): Promise<void> {
    this.clock.advance(passMs);
    for (const event of events) void this.loop.push(event);
    await this.loop.turn();
  }

  #see(events: readonly Event[]): Observation {
    this.#sample += 1;
    const card = { vramTotalMiB: 24_576, vramUsedMiB: 0, powerWatts: 100, processes: [] };
    const gpu: Gpu = { kind: "known", sample: this.#sample, temperatureC: this.celsius, ...card };
    const { clock } = this;
    const more = { load1: 0, gpu, constraint: undefined, events };
    return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs(), ...more };
  }
}

/** EVA holds; given out by a turn of its own. */
async function evaHolds(): Promise<Bench> {
  const bench = new Bench(initialState());
  await bench.turn(1000, { kind: "request", id: "lease-1", service: "eva" });
  await bench.turn(1000);
  assert.equal(bench.loop.state.holds["eva"]?.phase, "running");
  return bench;
}

describe("arbiter's loop on a full disk", () => {
  it("ends the lowest rank for heat after two samples, though nothing can be written", async () => {
    const bench = new Bench(initialState());
    await bench.turn(1000);
    const [start] = bench.performed.filter(({ kind }) => kind === "start");
    assert.ok(start?.kind === "start");
    await bench.turn(1000, { kind: "done", action: start.id, ok: true });
    bench.full();
    bench.celsius = 90;
    for (let count = 0; count < 4; count += 1) await bench.turn(1000);
    assert.notEqual(bench.loop.fault, undefined);
    const kills = bench.performed.filter((action) => action.kind === "lower" && action.rung === "kill");
    assert.ok(kills.some((action) => action.kind === "lower" && action.service === start.service));
  });

  it("revokes no lease that was renewed before", async () => {
    const bench = await evaHolds();
    await bench.turn(27_000, { kind: "renew", id: "lease-1" });
    bench.full();
    await bench.turn(1000, { kind: "request", id: "lease-2", service: "eva2" });
    assert.notEqual(bench.loop.fault, undefined);
    await bench.turn(4000);
    bench.disk = () => Promise.resolve();
    await bench.turn(250);
    assert.equal(bench.loop.fault, undefined);
    assert.deepEqual(
      bench.performed.filter(({ kind }) => kind === "revoke"),
      [],
    );
    assert.equal(bench.loop.state.holds["eva"]?.lease, "lease-1");
  });

  it("answers a release when it is written, and not before", async () => {
    const bench = await evaHolds();
    await bench.turn(0, { kind: "request", id: "lease-2", service: "eva" });
    const disk = Promise.withResolvers<void>();
    bench.disk = () => disk.promise;
    let answered = false;
    const release = bench.loop.push({ kind: "release", id: "lease-2" }).then(() => (answered = true));
    const turn = bench.loop.turn();
    for (let count = 0; count < 10; count += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(answered, false);
    disk.resolve();
    await Promise.all([turn, release]);
    assert.deepEqual(bench.loop.state.queue, []);
  });

  it("stamps what it decides with the time of the decision", async () => {
    const bench = await evaHolds();
    bench.clock.jumpWall(5000);
    await bench.turn(1000, { kind: "request", id: "lease-2", service: "eva2" });
    assert.equal(bench.recorded.at(-1)?.wallMs, bench.clock.wallMs());
  });
});

describe("arbiter's memory", () => {
  const ports = { boot: "same", wallMs: () => 0, log, onDecision: () => undefined };

  it("remembers a promise and a checkpoint only when they are written", async () => {
    await using place = await temporaryFolder();
    const memory = await Memory.open(place.folder, { ...ports, placesOf: () => ({}) });
    await memory.close();
    await assert.rejects(memory.promise({ untilMs: 5000, id: "night-1" }));
    await assert.rejects(memory.noteCheckpoint("muse", [{ pid: 1, startTicks: 1 }]));
    assert.deepEqual([memory.promised, memory.shell.checkpointed], [null, {}]);
  });

  it("ends a promise only for the handoff that it was given for, and across a restart", async () => {
    await using place = await temporaryFolder();
    const open = (): Promise<Memory> => Memory.open(place.folder, { ...ports, placesOf: () => ({}) });
    const first = await open();
    await first.promise({ untilMs: 5000, id: "night-1" });
    await first.endPromise("night-2");
    assert.deepEqual(first.promised, { untilMs: 5000, id: "night-1" });
    await first.close();
    const second = await open();
    assert.deepEqual(second.promised, { untilMs: 5000, id: "night-1" });
    await second.endPromise("night-1");
    assert.equal(second.promised, null);
    await second.promise({ untilMs: 6000, id: null });
    await second.endPromise("night-1");
    await second.close();
    const third = await open();
    assert.deepEqual(third.promised, { untilMs: 6000, id: null }, "ended by time alone");
    await third.close();
  });

  it("writes when a turn was decided, though it is written later", async () => {
    await using place = await temporaryFolder();
    const memory = await Memory.open(place.folder, { ...ports, placesOf: () => ({}) });
    await memory.record([{ state: initialState(), actions: [], decisions: [{ what: "x", reason: "y" }], wallMs: 7 }]);
    assert.equal(memory.decisions[0]?.time, new Date(7).toISOString());
    await memory.close();
  });

  it("keeps the place and the server of a service that is configured no more until it is set free", async () => {
    await using place = await temporaryFolder();
    const application = { type: "vllm", url: "http://127.0.0.1:8000", interrupt: false } as const;
    const before = { muse: { cgroup: "/hive/muse", application } };
    const made = new Services([], before);
    const memory = await Memory.open(place.folder, { ...ports, placesOf: (names) => made.places(names) });
    await memory.record([{ state: initialState(), actions: [], decisions: [] }]);
    await memory.close();
    const [segment = ""] = await readdir(join(place.folder, "journal"));
    assert.match(await readFile(join(place.folder, "journal", segment), "utf8"), /\/hive\/muse/);
    const next = await Memory.open(place.folder, { ...ports, placesOf: () => ({}) });
    const { places } = next.before.shell;
    await next.close();
    assert.deepEqual(places["muse"]?.application, application);
    const services = new Services([], places);
    assert.equal(services.handles("muse").application?.type, "vllm");
    const raise: Action = { id: "a1", kind: "raise", service: "muse", rungs: ["application"], token: 1 };
    services.forget([raise]);
    assert.deepEqual(services.names, ["muse"]);
    services.released("muse");
    assert.deepEqual([services.names, services.places([])], [[], {}]);
  });
});
