// The scenarios of the arbiter against the daemon: its loop, executor, journal on the disk and API on a socket. What is
// put in its place is time, the card, processes, load, and the host side's word.
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { skip } from "../run/skip.ts";
import { DaemonPlay } from "../support/keeperDaemonWorldPlay.ts";
import { difference } from "../support/keeperPlay.ts";
import { readScenario, scenarioFiles } from "../support/keeperScenario.ts";

/** Scenarios that cannot hold for the daemon, with the reason. */
const coreOnly: Readonly<Record<string, string>> = {
  "crash-while-freezing.yaml":
    "a freeze is written with the turn that ends it: the daemon killed before that knows of none, and thaws",
  "preempt-while-starting.yaml":
    "the daemon's freeze waits for the start under way: it freezes nothing that is not there yet",
  "lease-renewal-unknown.yaml": "the API itself answers 404: nobody may fill the journal with leases that do not exist",
};

const folder = join(import.meta.dirname, "../scenarios/keeper");

describe("the arbiter daemon plays the scenarios", () => {
  /** Processes that stand for those of the services: the daemon looks them up in /proc. */
  const stand: ChildProcess[] = [];
  before(() => {
    for (let index = 0; index < 8; index += 1) stand.push(spawn("sleep", ["600"], { stdio: "ignore" }));
  });
  after(() => {
    for (const child of stand) child.kill("SIGKILL");
  });

  for (const file of scenarioFiles(folder)) {
    const scenario = readScenario(folder, file);
    it(`${file.replace(".yaml", "")}: ${scenario.proves}`, async function () {
      const reason = coreOnly[file];
      if (reason !== undefined) skip(this, reason);
      const state = await mkdtemp(join(tmpdir(), "hive-scenario-"));
      try {
        const pids = stand.flatMap(({ pid }) => pid ?? []);
        const played = await new DaemonPlay(scenario, state, pids).run();
        assert.equal(difference(scenario, played), undefined);
      } finally {
        await rm(state, { recursive: true, force: true });
      }
    });
  }
});
