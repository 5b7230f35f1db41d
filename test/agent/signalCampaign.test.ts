/** A seeded slice of the campaigns `signals` and `signal-fuzz`, and the judge of the former. */
import assert from "node:assert/strict";
import { runSignalFuzz } from "../campaign/signals/fuzz.ts";
import { runSignals } from "../campaign/signals/index.ts";
import { judgeStory, type Story } from "../campaign/signals/judge.ts";
import { drawPlan, runnerPoints, sentinelPoints } from "../campaign/signals/plan.ts";
import { members } from "../campaign/signals/team.ts";
import { testSeed } from "../run/seed.ts";
import { seededRandom } from "../support/seeded.ts";

describe("campaign: signals", () => {
  const said: string[] = [];
  const options = (count: number) => ({ count, seed: testSeed(), tell: (line: string) => void said.push(line) });

  it("holds the guarantee while Sentinel and runners are killed", async () => {
    const { ok, figures } = await runSignals(options(60), members.slice(0, 3));
    assert.ok(ok, said.join("\n"));
    assert.equal(figures.signals, 60);
    assert.ok((figures.kills ?? 0) > 0);
  });

  it("has a runner refuse every attack, and change nothing", async () => {
    const { ok, figures } = await runSignalFuzz(options(2_000));
    assert.ok(ok, said.join("\n"));
    assert.deepEqual([figures.requests, figures.accepted], [2_000, 0]);
  });

  it("ends soon, and leaves nothing behind, when it is stopped", async () => {
    const stop = new AbortController();
    const begun = runSignals({ ...options(100_000), stop: stop.signal }, members.slice(0, 1));
    stop.abort();
    assert.equal((await begun).figures.lost, 0);
    const fuzzed = await runSignalFuzz({ ...options(1_000_000), stop: stop.signal });
    assert.ok((fuzzed.figures.requests ?? 0) < 1_000_000);
  });

  it("draws the same deaths for the same seed, of every kind", () => {
    const draw = () => {
      const random = seededRandom(testSeed());
      return Array.from({ length: 300 }, () => drawPlan(sentinelPoints, 100, random));
    };
    assert.deepEqual(draw(), draw());
    const texts = draw().flatMap(({ death }) => (death.kind === "failpoint" ? [death.text.split("=", 1)[0]] : []));
    assert.equal(new Set(texts).size, sentinelPoints.length);
    for (const kind of ["anywhere", "start"]) assert.ok(draw().some(({ death }) => death.kind === kind));
    assert.ok(runnerPoints.job.length > 0);
  });
});

describe("campaign: the judge of signals", () => {
  const good: Story = {
    ...{ idempotent: false, fails: false, ids: new Set(["a"]), begunMs: [10], otherEnds: 0, report: undefined },
    end: { state: "completed", heardMs: 20 },
  };
  const verdict = (changes: Partial<Story>) => {
    const { lost, doubled, misreported } = judgeStory({ ...good, ...changes });
    return [lost.length, doubled.length, misreported.length].map((count) => Math.min(1, count)).join("");
  };
  const cases: readonly (readonly [what: string, changes: Partial<Story>, verdict: string])[] = [
    ["completed once", {}, "000"],
    ["nobody knows its end", { end: undefined }, "100"],
    ["a dead letter", { end: { state: "dead", heardMs: 20 } }, "100"],
    ["completed, and never begun", { begunMs: [] }, "100"],
    ["interrupted before it was begun", { begunMs: [], end: { state: "interrupted", heardMs: 20 } }, "000"],
    ["two ids for one key", { ids: new Set(["a", "b"]) }, "010"],
    ["begun twice", { begunMs: [10, 12] }, "010"],
    ["begun twice by an idempotent agent", { idempotent: true, begunMs: [10, 12] }, "000"],
    ["begun again after its end was heard", { idempotent: true, begunMs: [10, 22] }, "010"],
    ["begun again after its end", { idempotent: true, begunMs: [10, 18], report: { attempts: 2, endedMs: 15 } }, "010"],
    ["begun more often than told", { idempotent: true, begunMs: [1, 2], report: { attempts: 1, endedMs: 15 } }, "010"],
    ["two ends", { otherEnds: 1 }, "001"],
    ["completed where its agent failed", { fails: true }, "001"],
    ["failed where its agent did not", { end: { state: "failed", heardMs: 20 } }, "001"],
    [
      "an idempotent one given up too soon",
      { idempotent: true, end: { state: "interrupted", heardMs: 20 }, report: { attempts: 1, endedMs: 15 } },
      "001",
    ],
  ];
  for (const [what, changes, wanted] of cases)
    it(`knows: ${what}`, () => {
      assert.equal(verdict(changes), wanted);
    });
});
