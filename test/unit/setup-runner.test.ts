import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectRoot } from "../../cli/setup/paths.ts";
import { readArguments } from "../run/arguments.ts";
import { isPermissive } from "../run/check/licences.ts";
import { limitedTo } from "../run/lanes.ts";
import { runMocha, testFiles } from "../run/mocha-tier.ts";
import { type Outcome, sumLine, sumOf } from "../run/outcome.ts";
import { usualSeed } from "../run/seed.ts";
import { tiers } from "../run/tiers.ts";

describe("runner: arguments", () => {
  const read = (...argv: string[]): ReturnType<typeof readArguments> => readArguments(argv, tiers);

  it("runs every tier by default and one when asked", () => {
    const all = read();
    assert.ok("ok" in all);
    assert.deepEqual(all.ok, { tiers, json: false, grep: "", seed: usualSeed });
    const some = read("--tier", "lab", "--tier=unit", "--json", "--grep", "x");
    assert.ok("ok" in some);
    assert.deepEqual(
      [some.ok.tiers.map((tier) => tier.name), some.ok.json, some.ok.grep],
      [["unit", "lab"], true, "x"],
    );
  });

  it("takes a seed, or makes one", () => {
    const seedOf = (...argv: string[]): unknown => {
      const result = read(...argv);
      return "ok" in result ? result.ok.seed : result.faults;
    };
    assert.equal(seedOf("--seed", "7"), 7);
    assert.notEqual(seedOf("--seed", "random"), seedOf("--seed", "random"));
    for (const wrong of ["0", "1.5", "seven", "-3", "2147483648"])
      assert.match(String(seedOf(`--seed=${wrong}`)), /--seed takes random, or a whole number from 1 to/);
  });

  it("reports all faults at once", () => {
    const result = read("--tier", "nope", "--speed", "--grep");
    assert.ok("faults" in result);
    assert.equal(result.faults.length, 3);
    assert.match(
      result.faults.join("\n"),
      /unknown tier "nope". The tiers are: unit, components, cluster, policies, check, agent, guest, lab, cli, engine/,
    );
    for (const argv of [["unit"], ["--tier"], ["--json=1"], ["--tier", ""]])
      assert.ok("faults" in read(...argv), argv.join(" "));
  });
});

describe("runner: lanes", () => {
  it("run no more jobs at once than allowed, in order, and go on after a failure", async () => {
    const gate = limitedTo(2);
    let running = 0;
    let most = 0;
    const begun: number[] = [];
    const jobs = [0, 1, 2, 3, 4].map((each) =>
      gate(async () => {
        begun.push(each);
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 5));
        running--;
        if (each === 1) throw new Error("one fails");
        return each;
      }),
    );
    const ends = await Promise.allSettled(jobs);
    assert.equal(most, 2);
    assert.deepEqual(begun, [0, 1, 2, 3, 4]);
    assert.deepEqual(
      ends.map((end) => (end.status === "fulfilled" ? end.value : "failed")),
      [0, "failed", 2, 3, 4],
    );
  });
});

describe("runner: tests", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "hive-runner-"));
    mkdirSync(join(root, "t"));
    writeFileSync(join(root, "package.json"), '{"type":"module"}');
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  async function outcomes(code?: string): Promise<(Outcome & { short: string })[]> {
    if (code !== undefined) writeFileSync(join(root, "t", "a.test.ts"), code);
    const found: Outcome[] = [];
    await runMocha({
      root,
      folder: "t",
      files: await testFiles(root, "t"),
      timeoutSec: 5,
      grep: "",
      printTo: 2,
      env: {},
      onOutcome: (outcome) => found.push(outcome),
    });
    return found.map((outcome) => ({ ...outcome, short: `${outcome.kind} ${outcome.title}` }));
  }

  it("counts what passed, failed and was skipped, with the reason", async () => {
    const found = await outcomes(`
      import { skip } from ${JSON.stringify(join(projectRoot, "test/run/skip.ts"))};
      describe("s", () => {
        it("good", () => {});
        it("bad", () => { throw new Error("boom"); });
        it("late", function () { skip(this, "needs a GPU"); });
        describe("all", () => { before(function () { skip(this, "needs Linux"); }); it("x", () => {}); it("y", () => {}); });
      });`);
    const shorts = [
      "passed s › good",
      "failed s › bad",
      "skipped s › late",
      "skipped s › all › x",
      "skipped s › all › y",
    ];
    assert.deepEqual(
      found.map(({ short }) => short),
      shorts,
    );
    assert.deepEqual(
      found.slice(2).map(({ detail }) => detail),
      ["needs a GPU", "needs Linux", "needs Linux"],
    );
    assert.match(found[1]?.detail ?? "", /boom/);
    assert.equal(sumLine(sumOf([{ tier: "t", outcomes: found }])), "1 passed, 1 failed, 3 skipped");
  });

  const broken: readonly (readonly [string, string | undefined, RegExp])[] = [
    ["there is no test file", undefined, /no test ran/],
    ["a file holds no test", "export {};", /no test ran/],
    ["the process dies", `it("a", () => {}); it("b", () => process.exit(0));`, /before its last test/],
    [
      "the process is killed",
      `it("a", () => { process.kill(process.pid, "SIGKILL"); return new Promise(() => {}); });`,
      /SIGKILL/,
    ],
    ["a file does not load", `throw new Error("at load");`, /at load/],
    ["one test is singled out", `it.only("a", () => {});`, /only. forbidden/],
  ];
  for (const [when, code, detail] of broken)
    it(`fails when ${when}`, async () => {
      const found = (await outcomes(code)).filter(({ kind }) => kind === "failed");
      assert.equal(found.length, 1);
      assert.match(found[0]?.detail ?? "", detail);
    });

  it("does not hang on what a test leaves open", async () => {
    const found = await outcomes(`it("a", () => void setInterval(() => {}, 1000));`);
    assert.deepEqual(
      found.map(({ short }) => short),
      ["passed a"],
    );
  });
});

describe("check: licences", () => {
  it("takes permissive ones, in SPDX's words", () => {
    for (const licence of ["MIT", "(MIT OR GPL-3.0)", "(BSD-3-Clause AND Apache-2.0)", "0BSD"])
      assert.ok(isPermissive(licence), licence);
    for (const licence of ["GPL-3.0", "(MIT AND GPL-3.0)", "UNLICENSED", "SEE LICENSE IN LICENSE", ""])
      assert.ok(!isPermissive(licence), licence);
  });
});
