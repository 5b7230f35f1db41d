// How long the arbiter takes to leave, and what it remembers of places that moved: without processes and without a card.
import assert from "node:assert/strict";
import { mock } from "node:test";
import { parseKeeperConfig } from "../../components/shared/agent/parseKeeperConfig.ts";
import type { KeeperConfig } from "../../components/shared/agent/keeperConfig.ts";
import { initialState } from "../../runtime-agent/src/keeper/arbiter/core/state.ts";
import type { ArbiterState, Hold, Step } from "../../runtime-agent/src/keeper/arbiter/core/state.ts";
import { leaveAll } from "../../runtime-agent/src/keeper/arbiter/leave.ts";
import { returnMs, settleMs } from "../../runtime-agent/src/keeper/arbiter/leaveTime.ts";
import { movedFaults, setMovedApart } from "../../runtime-agent/src/keeper/arbiter/places.ts";
import { emptyShell } from "../../runtime-agent/src/keeper/arbiter/record.ts";
import { Services } from "../../runtime-agent/src/keeper/arbiter/services.ts";
import type { ServiceHandles } from "../../runtime-agent/src/keeper/processes/service/rungs.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";

const hold: Hold = {
  ...{
    phase: "lowered",
    seq: 1,
    lease: null,
    token: 1,
    granted: true,
    wants: true,
    untilMs: null,
    sinceMs: 0,
    usedMs: 0,
    turnFromMs: 0,
  },
  ...{
    undo: [],
    goal: null,
    tried: [],
    rests: true,
    freed: true,
    why: null,
    step: null,
    startAction: null,
    failures: 0,
  },
};
const step: Step = {
  ...{ action: "a1", kind: "lower", rung: "checkpoint", goal: "vram", gentle: true, sinceMs: 0, deadlineMs: 30_000 },
};

function stateOf(holds: ArbiterState["holds"]): ArbiterState {
  return { ...initialState(), holds };
}

function configOf(services: string): KeeperConfig {
  const checked = parseKeeperConfig(`version: 1\nside: arbiter\narbiter:\n  services:\n${services}`);
  assert.ok(checked.ok, JSON.stringify(checked));
  return checked.value;
}

const muse = "    - { name: muse, rank: 4, kind: batch, vram: 24 GB, start: [systemctl, start, muse.service]";
const inUnit = `${muse}, unit: muse.service }\n`;
const inOtherUnit = `${muse}, unit: muse-2.service }\n`;
const ollama = (port: number): string =>
  `${muse}, unit: muse.service, rungs: [application, freeze], ` +
  `application: { type: ollama, url: "http://127.0.0.1:${String(port)}", model: llama3 } }\n`;

describe("arbiter: the time that leaving takes", () => {
  const moves = { vramMiBOf: () => 24 * 1024, isCheckpointed: () => false };

  it("is that of the kernel for what was only frozen, and grows with what was moved", () => {
    const frozen = stateOf({ muse: { ...hold, undo: ["freeze"] } });
    assert.deepEqual([returnMs(["muse"], frozen, moves), settleMs(frozen, moves)], [0, 2_000]);
    const moved = stateOf({
      muse: { ...hold, undo: ["checkpoint", "freeze"] },
      eva: { ...hold, undo: ["application"] },
    });
    assert.ok(returnMs(["muse"], moved, moves) >= 1.5 * 15_000, "24 GB took 15 s at the slowest");
    assert.equal(returnMs(["muse", "eva"], moved, moves), 2 * returnMs(["muse"], moved, moves), "they share one bus");
    assert.equal(settleMs(moved, moves), 2_000, "nothing is under way");
  });

  it("counts what a crash left with the driver, and a service that no configuration names", () => {
    const odd = { vramMiBOf: () => undefined, isCheckpointed: (name: string) => name === "old" };
    assert.ok(returnMs(["old", "muse"], initialState(), odd) >= 15_000);
  });

  it("waits for a move that is under way, either way", () => {
    const down = stateOf({ muse: { ...hold, phase: "lowering", undo: ["checkpoint"], step } });
    assert.ok(settleMs(down, moves) >= 15_000);
    const up: Step = { ...step, kind: "raise", rung: null };
    assert.ok(
      settleMs(stateOf({ muse: { ...hold, phase: "raising", undo: ["checkpoint"], step: up } }), moves) >= 15_000,
    );
    assert.equal(settleMs(stateOf({ muse: { ...hold, undo: ["freeze"], step: up } }), moves), 2_000);
  });

  it("is enough for a restore of 15 s, is told to the service manager, and names who is not free after all", async () => {
    const config = configOf(
      `${inUnit}    - { name: far, rank: 3, kind: interactive, vram: 1 GB, unit: far.service }\n`,
    );
    const { arbiter } = config;
    assert.ok(arbiter !== undefined);
    let back = false;
    class Slow extends Services {
      override handles(name: string): ServiceHandles {
        if (name === "far") throw new Error("its engine is down");
        const handles = super.handles(name);
        const state = (): Promise<"running"> => Promise.resolve("running");
        const raise = (): Promise<void> =>
          new Promise((resolve) => setTimeout(resolve, 15_000)).then(() => void (back = true));
        return {
          process: Object.assign(handles.process, { state }),
          application: { type: "vllm", lower: raise, raise, isLowered: () => Promise.resolve(!back) },
        };
      }
    }
    const extended: number[] = [];
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      let stuck: readonly string[] | undefined;
      const left = leaveAll({
        services: new Slow(arbiter.services, {}),
        section: arbiter,
        state: () => stateOf({ muse: { ...hold, undo: ["application"] } }),
        executor: { settled: () => Promise.resolve() },
        rungs: {
          gpu: undefined,
          openCuda: () => assert.fail("nothing was checkpointed"),
          noteCheckpoint: () => Promise.resolve(),
          checkpointed: () => [],
        },
        device: {
          restore: () =>
            Promise.resolve({ ok: true, powerLimitWatts: undefined, maxGraphicsClockMHz: undefined, clamped: false }),
        },
        log: createLog({ write: () => undefined }),
        extend: (ms) => extended.push(ms),
      }).then((names) => (stuck = names));
      for (let second = 0; second < 60 && stuck === undefined; second += 1) {
        for (let beat = 0; beat < 20; beat += 1) await Promise.resolve();
        mock.timers.tick(1_000);
      }
      await left;
      assert.deepEqual([back, stuck], [true, ["far"]]);
    } finally {
      mock.timers.reset();
    }
    assert.ok(Math.max(...extended) > 23_000, String(extended));
  });
});

describe("arbiter: places that move", () => {
  const held = { muse: { place: { unit: "muse.service" }, undo: ["freeze"] } } as const;

  it("refuses with property, value, limit and fix what is held elsewhere, and nothing else", () => {
    assert.deepEqual(movedFaults(configOf(inUnit), held), []);
    assert.deepEqual(movedFaults(configOf(inOtherUnit), {}), []);
    assert.deepEqual(movedFaults(configOf(inOtherUnit), held), [
      {
        property: "arbiter.services[0].unit",
        value: "unit muse-2.service",
        limit: "unchanged (unit muse.service) while the Keeper holds muse",
        fix: "Reload when muse is idle, or restart the agent: its start sets the old place free.",
      },
    ]);
  });

  it("counts the server in it only while that is asleep", () => {
    const application = { type: "ollama", url: "http://127.0.0.1:1", model: "llama3" } as const;
    const awake = { muse: { place: { unit: "muse.service", application }, undo: ["freeze"] } } as const;
    const asleep = { muse: { ...awake.muse, undo: ["application", "freeze"] } } as const;
    assert.deepEqual(movedFaults(configOf(ollama(2)), awake), []);
    assert.equal(movedFaults(configOf(ollama(2)), asleep)[0]?.property, "arbiter.services[0].application");
  });

  it("remembers a held service that moved as one that the configuration no longer names", () => {
    const read = {
      state: stateOf({ muse: hold, eva: hold }),
      shell: {
        ...emptyShell,
        places: { muse: { unit: "muse.service" }, eva: { unit: "eva.service" } },
        checkpointed: { muse: [{ pid: 5, startTicks: 9 }] },
      },
    };
    const same = setMovedApart(read, configOf(inUnit).arbiter?.services ?? []);
    assert.deepEqual(same, read);
    const { state, shell } = setMovedApart(read, configOf(inOtherUnit).arbiter?.services ?? []);
    const old = "muse at unit muse.service";
    assert.deepEqual(Object.keys(state.holds), [old, "eva"]);
    assert.deepEqual(Object.keys(shell.places), [old, "eva"]);
    assert.deepEqual(shell.checkpointed, { [old]: [{ pid: 5, startTicks: 9 }] });
  });
});
