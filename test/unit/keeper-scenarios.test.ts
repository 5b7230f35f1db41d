import assert from "node:assert/strict";
import { join } from "node:path";
import { difference, playScenario } from "../support/keeperPlay.ts";
import { readScenario, scenarioFiles } from "../support/keeperScenario.ts";

const folder = join(import.meta.dirname, "../scenarios/keeper");

describe("the arbiter's core plays its scenarios", () => {
  for (const file of scenarioFiles(folder)) {
    const scenario = readScenario(folder, file);
    it(`${file.replace(".yaml", "")}: ${scenario.proves}`, () => {
      const played = playScenario(scenario);
      assert.equal(difference(scenario, played), undefined);
      let greatest = 0;
      for (const { what, token = 0 } of played) {
        if (what === "start" || what === "raise") assert.ok(token > greatest, `${what} with token ${String(token)}`);
        if (what === "grant") assert.ok(token >= greatest, `grant with token ${String(token)}`);
        greatest = Math.max(greatest, token);
      }
    });
  }

  it("has a scenario for what was asked: at least sixty, none of them twice", () => {
    const proofs = scenarioFiles(folder).map((file) => readScenario(folder, file).proves);
    assert.ok(proofs.length >= 60, `${String(proofs.length)} scenarios`);
    assert.equal(new Set(proofs).size, proofs.length);
  });
});
