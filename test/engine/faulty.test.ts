import assert from "node:assert/strict";
import { judgeRefusal, runFaulty } from "../campaign/faulty.ts";
import { toolchainOrSkip } from "../support/estate.ts";

describe("faulty configurations of genesis", function () {
  this.timeout(300_000);

  it("are refused before any change, all faults at once, with value, limit and fix, and no secret", async function () {
    await toolchainOrSkip(this);
    // With this seed both that go through the engine also break keys for which an engine could know a type.
    const said: string[] = [];
    const { figures, ok } = await runFaulty({ count: 14, engineRuns: 2, seed: 350, tell: (line) => said.push(line) });
    assert.ok(ok, said.join("\n"));
    assert.deepEqual([figures["configurations"], figures["throughEngine"], figures["notAsPromised"]], [14, 2, 0]);
  });

  it("would be found out if a fault went unnamed, a limit were missing, or a stack trace or secret were shown", () => {
    const faulty = { raw: {}, expected: ["hive:workers"], mutations: ["workers"] };
    const line = "  - hive:workers is -1; allowed: 0 to 100. Ask for 100 at most.";
    assert.deepEqual(judgeRefusal(faulty, line), []);
    for (const text of [
      "",
      "  - hive:workers is -1",
      `${line}\n    at genesis (file:///stacks/genesis.ts:1:2)`,
      `${line}\n5ec7e700-cafe-4bad-8dad-0123456789ab`,
    ])
      assert.equal(judgeRefusal(faulty, text).length, 1, text);
  });
});
