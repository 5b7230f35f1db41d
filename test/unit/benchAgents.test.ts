import assert from "node:assert/strict";
import { type CycleSeen, judgeCycles } from "../bench/agents/judge.ts";

const good: CycleSeen = {
  ...{ name: "one", by: "calls", fault: undefined, runId: "run_1", end: "completed", isRight: true },
  completions: ["run_1"],
};

describe("benchmark agents judges its cycles", () => {
  it("finds nothing in lives that went as they should, nor in one that was promised nothing", () => {
    const unpromised = { ...good, runId: undefined, end: undefined, isRight: false, completions: [] };
    assert.deepEqual(judgeCycles([good, unpromised]), { lost: 0, doubled: 0, why: [] });
  });

  it("counts a promised run without its completion or its result as lost", () => {
    const seen = [
      { ...good, end: "interrupted" },
      { ...good, end: undefined },
      { ...good, isRight: false },
    ];
    const { lost, doubled, why } = judgeCycles(seen);
    assert.deepEqual([lost, doubled, why.length], [3, 0, 3]);
    assert.match(why[0] ?? "", /one \(by calls, no fault\): run_1 ended as interrupted/);
  });

  it("counts each completion of a run beyond its first", () => {
    const { lost, doubled, why } = judgeCycles([{ ...good, fault: "cut", completions: ["run_1", "run_1", "run_1"] }]);
    assert.deepEqual([lost, doubled], [0, 2]);
    assert.match(why[0] ?? "", /one \(by calls, cut\): completed 2 time\(s\) too often/);
  });
});
