import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { judgeRefusal } from "../campaign/faulty.ts";
import { toolchainOrSkip } from "../support/estate.ts";

const slice = `
import { runFaulty } from ${JSON.stringify(new URL("../campaign/faulty.ts", import.meta.url).href)};
const { figures, ok } = await runFaulty({ count: 14, engineRuns: 2, seed: 350, tell: (line) => console.error(line) });
const { configurations, throughEngine, notAsPromised } = figures;
console.log(JSON.stringify({ configurations, throughEngine, notAsPromised }));
process.exit(ok ? 0 : 1);
`;

describe("faulty configurations of genesis", function () {
  this.timeout(300_000);

  it("are refused before any change, all faults at once, with value, limit and fix, and no secret", async function () {
    await toolchainOrSkip(this);
    // With this seed both that go through the engine also break keys for which an engine could know a type.
    // In a process of its own: a program that is refused leaves rejections behind that are this run's, not a test's.
    const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", slice], {
      encoding: "utf8",
      timeout: 240_000,
    });
    assert.equal(status, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), { configurations: 14, throughEngine: 2, notAsPromised: 0 });
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
