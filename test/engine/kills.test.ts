import assert from "node:assert/strict";
import { runKills } from "../campaign/kills.ts";
import { findEngine } from "../support/engine.ts";
import { skip } from "../run/skip.ts";

describe("a run that is killed", function () {
  this.timeout(900_000);

  it("is finished by the next one: a seeded slice of the campaign `kills`", async function () {
    if (process.platform !== "linux") skip(this, "the processes to kill are found in /proc");
    const engine = findEngine();
    if ("missing" in engine) skip(this, engine.missing);
    const told: string[] = [];
    const { figures, ok } = await runKills({ count: 2, seed: 3, tell: (line) => told.push(line) });
    assert.ok(ok, `${JSON.stringify(figures)}\n${told.join("\n")}`);
    assert.equal(figures["converged"], 2);
    assert.ok((figures["firewallStates"] ?? 0) > 0, "no state of the firewall was looked at");
  });
});
