// The executor alone: starts that fail or take long, and what may not wait behind them. Time moves when it is told to.
import assert from "node:assert/strict";
import { setImmediate as breathe } from "node:timers/promises";
import { arbiterConfig } from "../../runtime-agent/src/keeper/arbiter/core/config.ts";
import type { Action, Event, Rung } from "../../runtime-agent/src/keeper/arbiter/core/types.ts";
import { Executor } from "../../runtime-agent/src/keeper/arbiter/executor.ts";
import { Leases } from "../../runtime-agent/src/keeper/arbiter/leases.ts";
import { lowerBy } from "../../runtime-agent/src/keeper/arbiter/rungs.ts";
import type { RungPorts } from "../../runtime-agent/src/keeper/arbiter/rungs.ts";
import { Services } from "../../runtime-agent/src/keeper/arbiter/services.ts";
import { ProcessError } from "../../runtime-agent/src/keeper/processes/errors.ts";
import type { ServiceHandles } from "../../runtime-agent/src/keeper/processes/service/rungs.ts";
import type { ServiceState } from "../../runtime-agent/src/keeper/processes/service/serviceProcess.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";
import { ManualTime } from "../support/keeperDaemonWorldTime.ts";

type Ended = Extract<Event, { readonly kind: "done" }>;
const rungs: RungPorts = {
  gpu: undefined,
  openCuda: () => assert.fail("no checkpoint here"),
  noteCheckpoint: async () => undefined,
  checkpointed: () => [],
};

/** One service whose start takes as long and ends as the test says. */
class Stage extends Services {
  state: ServiceState = "absent";
  /** Whether the engine that would know can be asked. */
  engineIsUp = true;
  readonly calls: string[] = [];
  start: () => Promise<void> = async () => undefined;

  constructor() {
    super([], {});
  }

  override handles(): ServiceHandles {
    const end = (how: string) => async (): Promise<void> => {
      this.calls.push(how);
      this.state = "absent";
    };
    const note = (what: string, to: ServiceState) => async (): Promise<void> => {
      this.calls.push(what);
      if (this.state !== "absent") this.state = to;
    };
    return {
      process: {
        description: "muse",
        pids: async () => [],
        state: async () => {
          if (this.engineIsUp) return this.state;
          throw new ProcessError("unreachable", "nobody listens");
        },
        freeze: note("freeze", "frozen"),
        thaw: note("thaw", "running"),
        stop: note("stop", "stopped"),
        cont: note("cont", "running"),
        term: end("term"),
        kill: end("kill"),
        start: () => this.start(),
      },
    };
  }
}

async function play(
  work: (stage: Stage, executor: Executor, done: Ended[], pass: Pass) => Promise<void>,
): Promise<void> {
  const time = new ManualTime(0);
  const stage = new Stage();
  const done: Ended[] = [];
  const pass: Pass = async (ms) => {
    for (const end = time.nowMs + ms; ;) {
      for (let turn = 0; turn < 5; turn += 1) await breathe();
      if (time.fireDue()) continue;
      if (time.nowMs >= end) return;
      time.nowMs = Math.min(end, time.nextMs);
    }
  };
  await time.rule(async () => {
    const executor = new Executor({
      log: createLog({ write: () => undefined }),
      services: () => stage,
      ladder: () => arbiterConfig({ services: [] }).ladder,
      rungs,
      leases: new Leases(),
      setPower: async () => undefined,
      started: () => undefined,
      done: (event) => void (event.kind === "done" && done.push(event)),
    });
    await work(stage, executor, done, pass);
  });
}
type Pass = (ms: number) => Promise<void>;

const begin: Action = { id: "start", kind: "start", service: "muse", token: 1 };
const lower = (rung: Rung): Action => ({ id: rung, kind: "lower", service: "muse", rung, reason: "eva comes first" });

describe("executor", () => {
  it("says nothing of a start that failed and may have left processes, so that the core ends it", () =>
    play(async (stage, executor, done, pass) => {
      stage.start = () => Promise.reject(new ProcessError("deadline", "no process appeared"));
      executor.perform([begin]);
      await pass(100);
      stage.state = "running";
      stage.start = () => Promise.reject(new ProcessError("failed", "half way"));
      executor.perform([begin]);
      await pass(100);
      assert.deepEqual(done, []);
      executor.perform([lower("term")]);
      await pass(10);
      assert.deepEqual([stage.calls, done.map(({ action, ok }) => [action, ok])], [["term"], [["term", true]]]);
    }));

  it("takes a start whose engine died meanwhile for one that may have worked, and one that nobody took for none", () =>
    play(async (stage, executor, done, pass) => {
      stage.start = async () => {
        stage.engineIsUp = false;
        throw new ProcessError("failed", "the answer was cut off");
      };
      executor.perform([begin]);
      await pass(100);
      assert.deepEqual(done, [], "the core ends it when its time is over");
      executor.perform([begin]);
      await pass(100);
      assert.deepEqual(done, [{ kind: "done", action: "start", ok: false, reason: "nobody listens" }]);
    }));

  it("says at once that a start failed when nothing is there", () =>
    play(async (stage, executor, done, pass) => {
      stage.start = () => Promise.reject(new ProcessError("failed", "no such program"));
      executor.perform([begin]);
      await pass(1);
      assert.deepEqual(done, [{ kind: "done", action: "start", ok: false, reason: "no such program" }]);
    }));

  it("lets no rung wait longer than 3 s for a start, and ends what that start brings too late", () =>
    play(async (stage, executor, done, pass) => {
      const born = Promise.withResolvers<void>();
      stage.start = () => born.promise.then(() => void (stage.state = "running"));
      executor.perform([begin]);
      await pass(100);
      executor.perform([lower("freeze")]);
      await pass(2_900);
      assert.deepEqual(done, []);
      executor.perform([lower("checkpoint")]);
      await pass(100);
      assert.deepEqual(
        done.map(({ action, ok, reason }) => [action, ok, /it still starts/.test(reason ?? "")]),
        [
          ["freeze", false, true],
          ["checkpoint", false, true],
        ],
      );
      executor.perform([lower("term")]);
      await pass(1);
      assert.deepEqual(done.at(-1), { kind: "done", action: "term", ok: true });
      assert.equal(stage.state, "absent");
      born.resolve();
      await pass(1);
      assert.deepEqual([stage.state, stage.calls], ["absent", ["term", "kill"]]);
    }));

  it("freezes what starts in time as soon as it is there", () =>
    play(async (stage, executor, done, pass) => {
      stage.start = () => new Promise((born) => setTimeout(() => born((stage.state = "running") && undefined), 400));
      executor.perform([begin]);
      await pass(100);
      executor.perform([lower("freeze")]);
      await pass(300);
      assert.deepEqual(
        done.map(({ action, ok }) => [action, ok]),
        [
          ["start", true],
          ["freeze", true],
        ],
      );
      assert.equal(stage.state, "frozen");
    }));

  it("lets the next rung begin when the core has given up the one before it", () =>
    play(async (stage, executor, done, pass) => {
      stage.state = "running";
      const { process } = stage.handles();
      const never = (): Promise<void> => new Promise(() => undefined);
      stage.handles = () => ({ process: { ...process, freeze: never } });
      executor.perform([lower("freeze")]);
      await pass(500);
      executor.perform([lower("stop")]);
      await pass(15);
      assert.deepEqual(
        done.map(({ action, ok }) => [action, ok]),
        [
          ["freeze", false],
          ["stop", true],
        ],
      );
    }));

  it("counts what strangers take while VRAM is moved as theirs", async () => {
    const stage = new Stage();
    stage.state = "running";
    const card = { ours: 12_288, stranger: 0 };
    const reading = () => {
      const processes = [
        { pid: 7, vramMiB: card.ours, kind: "compute" as const },
        { pid: 9, vramMiB: card.stranger, kind: "compute" as const },
      ].filter(({ vramMiB }) => vramMiB > 0);
      const used = card.ours + card.stranger;
      return { kind: "known", vramUsedMiB: used, processes } as const;
    };
    const { process } = stage.handles();
    const lowered = async (): Promise<void> => void Object.assign(card, { ours: 0, stranger: 12_000 });
    const handles = {
      process: { ...process, pids: async () => [7] },
      application: { type: "vllm", lower: lowered, raise: lowered, isLowered: async () => true } as const,
    };
    const known = {
      ...{ sample: 1, ageMs: 0, name: "card", uuid: "GPU-0", driverVersion: "570.0", vramTotalMiB: 24_576 },
      ...{ vramFreeMiB: 0, temperatureC: 40, powerWatts: 100, powerLimitWatts: 350, graphicsClockMHz: 2000 },
      ...{ memoryClockMHz: 9000, utilizationPercent: 50 },
    } as const;
    const gpu = { read: async () => ({ ...known, ...reading() }) };
    await lowerBy("muse", "application", handles, { ...rungs, gpu }, 200);
  });
});
