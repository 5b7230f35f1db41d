// The lab's evening as data: its script, what the agent makes of it, the card that follows, and where it is kept.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseCommandLine } from "../../cli/args/parse.ts";
import { checkKeeperConfig } from "../../components/shared/agent/parseKeeperConfig.ts";
import { cardState } from "../../lab/keeper/card.ts";
import { labArbiterConfig } from "../../lab/keeper/config.ts";
import { findDecisions, labEvening, parseEvening } from "../../lab/keeper/evening.ts";
import { keeperFolder, runtimeFolder } from "../../lab/keeper/folder.ts";
import { labServices } from "../../lab/keeper/services.ts";

describe("the lab's evening as data", () => {
  it("has scenes in order, over midnight, and a configuration that the agent takes", () => {
    const { steps, fromMs, toMs } = labEvening();
    const times = [fromMs, ...steps.map(({ atMs }) => atMs), toMs];
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
    assert.equal(new Date(steps.at(-1)?.atMs ?? 0).toISOString(), "2026-01-16T07:00:00.000Z");
    const folder = keeperFolder("/lab");
    for (const rate of [undefined, 1, 240, 1500]) {
      const config = labArbiterConfig({
        folder,
        runtime: "/r",
        nvml: "/n",
        cuda: "/c",
        timeZone: "Europe/Paris",
        rate,
      });
      const checked = checkKeeperConfig(config);
      assert.deepEqual(checked.ok ? [] : checked.faults, []);
    }
  });

  it("refuses a script with unknown keys, and finds what was decided in its order alone", () => {
    assert.throws(() =>
      parseEvening("timeZone: X\nfrom: 2026-01-15T22:00:00+01:00\nto: '08:00'\nsteps: []\nwhat: 1\n"),
    );
    const made = [
      { number: 4, what: "start", service: "muse-images", reason: "night" },
      { number: 5, what: "grant", service: "eva-core", reason: "holds the GPU" },
    ];
    const [start, grant] = [{ what: "start" }, { what: "grant", service: "eva-core", reason: "GPU" }];
    assert.deepEqual(findDecisions([start, grant], made), { missing: [], last: 5 });
    assert.deepEqual(findDecisions([grant, start], made), { missing: [start], last: 5 });
    assert.deepEqual(findDecisions([{ ...start, service: "research" }], made).last, undefined);
  });

  it("makes the card follow its processes: VRAM of all, power and heat of those that compute", () => {
    const [eva, , muse] = labServices;
    assert.ok(eva !== undefined && muse !== undefined);
    const on = [
      { service: eva, worker: { pid: 11, still: false } },
      { service: muse, worker: { pid: 12, still: true } },
    ];
    const state = cardState(on, 210, undefined);
    assert.deepEqual(
      state.processes.map(({ vramMiB }) => vramMiB),
      [16_384, 10_240],
    );
    assert.deepEqual([state.powerWatts, state.temperatureC, state.utilizationPercent], [210, eva.celsius, 97]);
    assert.equal(cardState([], undefined, 84).temperatureC, 84);
  });

  it("keeps its socket's path within the kernel's 107 bytes, however deep the lab's folder is", () => {
    const near = keeperFolder(mkdtempSync(join(tmpdir(), "hive-near-")));
    const usual = runtimeFolder(near, "run");
    assert.equal(usual.path, join(near.root, "run"));
    const far = runtimeFolder(keeperFolder(join(tmpdir(), "x".repeat(100))), "run");
    assert.ok(Buffer.byteLength(join(far.path, "api.sock")) <= 107);
    assert.equal(statSync(far.path).mode & 0o077, 0);
    usual.remove();
    far.remove();
    assert.equal(existsSync(far.path), false);
    rmSync(join(near.root, ".."), { recursive: true });
  });

  it("is asked for by --evening, which --once excludes", () => {
    const asked = parseCommandLine(["start", "--evening"]);
    assert.ok(asked.kind === "run" && asked.invocation.evening === true);
    const both = parseCommandLine(["start", "--evening", "--once"]);
    assert.ok(both.kind === "usage");
    assert.match(both.problems.join(), /--once/);
  });
});
