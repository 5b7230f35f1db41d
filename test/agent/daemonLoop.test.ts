// The decision loop alone: what wakes it, and when.
import assert from "node:assert/strict";
import { DecisionLoop } from "../../runtime-agent/src/keeper/arbiter/loop.ts";
import { initialState } from "../../runtime-agent/src/keeper/arbiter/core/state.ts";
import { manualClock } from "../../runtime-agent/src/shared/clock.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";
import { modelConfig } from "../support/keeperModel.ts";

describe("decision loop", () => {
  it("turns once more at once when it was woken during a turn, and then rests", async () => {
    const clock = manualClock(Date.UTC(2026, 10, 17, 12), 1000);
    let turns = 0;
    const resting = Promise.withResolvers<void>();
    const sleeps: number[] = [];
    const loop: DecisionLoop = new DecisionLoop(
      {
        clock: {
          ...clock,
          sleep(ms, signal) {
            sleeps.push(turns);
            resting.resolve();
            return clock.sleep(ms, signal);
          },
        },
        log: createLog({ level: "error", write: () => undefined }),
        observe(events) {
          turns += 1;
          // The sample that comes after the look.
          if (turns === 1) queueMicrotask(() => loop.wake());
          const gpu = { kind: "absent" } as const;
          return { monotonicMs: 1000, wallMs: clock.wallMs(), load1: 0, gpu, constraint: undefined, events };
        },
        record: () => Promise.resolve(),
        perform: () => undefined,
        takeBack: () => undefined,
        completed: () => undefined,
      },
      initialState(),
      modelConfig,
    );
    const running = loop.run();
    await resting.promise;
    assert.deepEqual(sleeps, [2]);
    loop.stop();
    await running;
  });
});
