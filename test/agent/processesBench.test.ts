import assert from "node:assert/strict";
import { freezer, measureHolder, percentile, plainStop } from "../bench/preempt/processes.ts";
import { openStage } from "../bench/preempt/stage.ts";
import type { Stage } from "../bench/preempt/stage.ts";
import { skip } from "../run/skip.ts";
import { burnerMissing } from "../support/burner.ts";
import { openTestCgroups } from "../support/cgroup.ts";

describe("the preemption benchmark's process part", function () {
  let stage: Stage;
  before(async function () {
    const opened = openTestCgroups();
    if ("missing" in opened) return skip(this, opened.missing);
    await opened.remove();
    const missing = burnerMissing();
    if (missing !== undefined) return skip(this, missing);
    stage = await openStage({ processes: 3, background: 1 });
  });
  after(async () => {
    await stage?.close();
  });

  for (const [name, holderOf] of [
    ["the freezer", freezer],
    ["plain signals", plainStop],
  ] as const)
    it(`sees no work done while ${name} hold the tree, and none lost`, async () => {
      const figures = await measureHolder(stage, holderOf(stage), 8);
      assert.equal(figures.holdMs.length, 8);
      assert.deepEqual([figures.movedCount, figures.lostCount], [0, 0]);
      assert.ok(percentile(figures.holdMs, 0.99) >= percentile(figures.holdMs, 0.5));
    });

  it("notices a holder that holds nothing", async () => {
    const idle = { hold: () => Promise.resolve(), release: () => Promise.resolve() };
    // Watched until somebody has worked: on a busy machine that may take a while.
    const figures = await measureHolder(stage, idle, 4, (held) => stage.burner.awaitProgress(held, 1, 30_000));
    assert.equal(figures.movedCount, 4);
  });

  it("takes percentiles by nearest rank", () => {
    assert.equal(percentile([1, 2, 3, 4], 0.5), 2);
    assert.equal(percentile([1, 2, 3, 4], 0.99), 4);
    assert.ok(Number.isNaN(percentile([], 0.5)));
  });
});
