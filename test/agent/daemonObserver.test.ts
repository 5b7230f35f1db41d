// What the arbiter sees beside its turns: whose processes are on the card, and what is not as the record says.
import assert from "node:assert/strict";
import { initialState } from "../../runtime-agent/src/keeper/arbiter/core/state.ts";
import type { ArbiterState, Hold } from "../../runtime-agent/src/keeper/arbiter/core/state.ts";
import { putRight } from "../../runtime-agent/src/keeper/arbiter/kernelCheck.ts";
import { Observer } from "../../runtime-agent/src/keeper/arbiter/observe.ts";
import { Services } from "../../runtime-agent/src/keeper/arbiter/services.ts";
import type { GpuReading } from "../../runtime-agent/src/keeper/gpu/types.ts";
import type { ServiceHandles } from "../../runtime-agent/src/keeper/processes/service/rungs.ts";
import type { ServiceState } from "../../runtime-agent/src/keeper/processes/service/serviceProcess.ts";
import { manualClock } from "../../runtime-agent/src/shared/clock.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";

const log = createLog({ write: () => undefined });

class Machine extends Services {
  /** What the kernel or the engine says of each service; undefined while it cannot be asked. */
  readonly states = new Map<string, ServiceState | undefined>();
  readonly owned = new Map<string, readonly number[]>();
  asked = 0;

  constructor() {
    super([], {});
  }

  override get names(): readonly string[] {
    return [...this.states.keys()];
  }

  override isCheap(): boolean {
    return true;
  }

  override handles(name: string): ServiceHandles {
    const answer = (): ServiceState => {
      const state = this.states.get(name);
      if (state === undefined) throw new Error("the engine is down");
      return state;
    };
    const to = (state: ServiceState) => async (): Promise<void> => void this.states.set(name, state);
    const none = (): Promise<void> => assert.fail("not asked for");
    return {
      process: {
        description: name,
        pids: async () => {
          this.asked += 1;
          answer();
          return this.owned.get(name) ?? [];
        },
        state: async () => answer(),
        ...{ freeze: to("frozen"), thaw: to("running"), stop: to("stopped"), cont: to("running") },
        ...{ term: none, kill: none, start: none },
      },
    };
  }
}

const hold: Hold = {
  ...{ phase: "running", seq: 1, lease: null, token: 1, granted: false, wants: true, untilMs: null, sinceMs: 0 },
  ...{ usedMs: 0, turnFromMs: 0, undo: [], goal: null, tried: [], rests: false, freed: false, why: null, step: null },
  ...{ startAction: null, failures: 0 },
};
const known: Extract<GpuReading, { readonly kind: "known" }> = {
  ...{ kind: "known", sample: 1, ageMs: 0, name: "card", uuid: "GPU-0", driverVersion: "570.0" },
  ...{ vramTotalMiB: 24_576, vramUsedMiB: 4_096, vramFreeMiB: 20_480, temperatureC: 40, powerWatts: 100 },
  ...{ powerLimitWatts: 350, graphicsClockMHz: 2000, memoryClockMHz: 9000, utilizationPercent: 50, processes: [] },
};

function stage() {
  const clock = manualClock(Date.UTC(2026, 10, 17, 22, 30), 1000);
  const machine = new Machine();
  const seen: { state: ArbiterState; reading: GpuReading } = { state: initialState(), reading: known };
  const mended: string[] = [];
  const observer = new Observer({
    clock,
    load1: () => undefined,
    log,
    services: () => machine,
    reading: () => seen.reading,
    constraint: () => undefined,
    state: () => seen.state,
    exited: () => assert.fail("nobody left"),
    repair: (service, work) => {
      mended.push(service);
      void work();
    },
  });
  const look = async (times: number): Promise<void> => {
    for (let time = 0; time < times; time += 1) {
      await observer.look();
      clock.advance(1000);
    }
  };
  const holds = (muse: Partial<Hold>): void =>
    void (seen.state = { ...seen.state, holds: { muse: { ...hold, ...muse } } });
  return { clock, machine, seen, mended, observer, look, holds };
}

describe("arbiter's looks", () => {
  it("sets free what runs by the record and is frozen, after two looks that agree", async () => {
    const { machine, mended, look, holds } = stage();
    holds({});
    machine.states.set("muse", "frozen");
    await look(1);
    assert.deepEqual(mended, []);
    await look(1);
    assert.deepEqual(mended, ["muse"]);
    await look(1);
    assert.equal(machine.states.get("muse"), "running");
  });

  it("holds again, once, what should rest and runs, and leaves what is on its way", async () => {
    const { machine, mended, look, holds } = stage();
    machine.states.set("muse", "running");
    const step = {
      action: "a1",
      kind: "raise",
      rung: null,
      goal: null,
      gentle: false,
      sinceMs: 0,
      deadlineMs: 9,
    } as const;
    holds({ phase: "raising", undo: ["freeze"], step });
    await look(3);
    assert.deepEqual(mended, []);
    holds({ phase: "lowered", undo: ["freeze"] });
    await look(2);
    assert.equal(machine.states.get("muse"), "frozen");
    await look(1);
    machine.states.set("muse", "running");
    await look(2);
    machine.states.set("muse", "running");
    await look(4);
    assert.deepEqual(mended, ["muse", "muse"]);
  });

  it("sets free what an engine that was down at the start held, though nothing holds the card", async () => {
    const { machine, mended, observer, look, seen } = stage();
    machine.states.set("comfy", undefined).set("muse", "absent");
    observer.watch(await putRight(machine, seen.state, log));
    await look(3);
    machine.states.set("comfy", "frozen");
    await look(4);
    assert.deepEqual([mended, machine.states.get("comfy")], [["comfy"], "running"]);
  });

  it("calls nobody a stranger while a service cannot say which processes are its own", async () => {
    const { clock, machine, observer, seen } = stage();
    const pid = process.pid;
    seen.reading = { ...known, processes: [{ pid, vramMiB: 4096, kind: "compute" }] };
    machine.states.set("comfy", undefined).set("muse", "running");
    const strangers = (): readonly unknown[] => {
      const { gpu } = observer.observe([]);
      return gpu.kind === "known" ? gpu.processes : assert.fail("known");
    };
    await observer.findOwners();
    assert.deepEqual([strangers(), observer.ownersKnown], [[], false]);
    machine.states.set("comfy", "running");
    machine.owned.set("comfy", [pid]);
    clock.advance(5000);
    await observer.findOwners();
    assert.deepEqual([strangers(), observer.ownersKnown], [[{ pid, vramMiB: 4096, service: "comfy" }], true]);
    // Found once, it stays its, whether or not the engine answers.
    machine.states.set("comfy", undefined);
    clock.advance(60_000);
    await observer.findOwners();
    assert.deepEqual(strangers(), [{ pid, vramMiB: 4096, service: "comfy" }]);
  });

  it("asks nobody again while it knows whose every process is, and at once when another one comes", async () => {
    const { machine, observer, seen } = stage();
    const show = (pid: number): void => {
      seen.reading = { ...known, processes: [{ pid, vramMiB: 4096, kind: "compute" }] };
    };
    machine.states.set("muse", "running");
    machine.owned.set("muse", [process.pid, process.ppid]);
    show(process.pid);
    await observer.findOwners();
    await observer.findOwners();
    assert.equal(machine.asked, 1);
    show(process.ppid);
    await observer.findOwners();
    assert.equal(machine.asked, 2);
  });
});
