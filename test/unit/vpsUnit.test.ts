import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { HeavyAgentUnit } from "../../components/shared/vps/heavyAgent.ts";
import {
  heavyAgentUnitName,
  renderHeavyAgentSlice,
  renderHeavyAgentTemplate,
  renderHeavyAgentUnits,
} from "../../components/shared/vps/heavyAgentUnit.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { skip } from "../run/skip.ts";

const root = join(import.meta.dirname, "../..");
const systemd = "systemd-analyze";
const base = { name: "ghost-shopper", server: { vcpus: 2, ramMiB: 4096 } } as const;
/** Exposure that any agent may have at most. */
const mostExposure = 2.0;

const shipped: Readonly<Record<string, string>> = {
  "templates/heavy-agent@.service": renderHeavyAgentTemplate(),
  "templates/heavy-agent.slice": renderHeavyAgentSlice(),
};

const files = (agent: HeavyAgentUnit) => valueOrThrow("agent", renderHeavyAgentUnits(agent));
const dropIn = (agent: HeavyAgentUnit): string => files(agent)[2]?.text ?? "";

function values(text: string, key: string): string[] {
  return text
    .split("\n")
    .filter((line) => line.startsWith(`${key}=`))
    .map((line) => line.slice(key.length + 1));
}
const own = (agent: HeavyAgentUnit, key: string): string[] => values(dropIn(agent), key);
const shared = (key: string): string[] => values(renderHeavyAgentTemplate(), key);

/** Starts that systemd lets a unit have in a crash loop before it refuses one (ratelimit_below in basic/ratelimit.c). */
function startsUntilRefused(limit: { interval: number; burst: number }, pause: number, life: number): number {
  let begin = -Infinity;
  let counted = 0;
  for (let start = 0; start < 1000; start += 1) {
    const now = start * (pause + life);
    if (now - begin > limit.interval) [begin, counted] = [now, 1];
    else if (counted < limit.burst) counted += 1;
    else return start;
  }
  return Infinity;
}

describe("heavy agents' units", () => {
  for (const [path, text] of Object.entries(shipped))
    it(`ships ${path} as it is rendered`, () => {
      const file = join(root, path);
      if (process.env["UPDATE_SNAPSHOTS"] === "1") writeFileSync(file, text);
      const renew = "renew it: UPDATE_SNAPSHOTS=1 npx mocha test/unit/vpsUnit.test.ts";
      assert.equal(readFileSync(file, "utf8"), text, renew);
    });

  it("has the seed's limits", () => {
    const seed = { User: "antigravity", MemoryMax: "80%", MemorySwapMax: "0", CPUQuota: "90%", OOMPolicy: "continue" };
    for (const [key, value] of Object.entries(seed)) assert.deepEqual(shared(key), [value], key);
    assert.deepEqual([shared("Restart"), shared("RestartSec")], [["on-failure"], ["30s"]]);
    assert.deepEqual([shared("MemoryHigh"), shared("Slice")], [[], ["heavy-agent.slice"]]);
  });

  it("keeps the start limit where systemd reads it, and ends crash loops that the defaults would not", () => {
    const [unit = ""] = renderHeavyAgentTemplate().split("[Service]");
    const number = (key: string): number => Number(values(unit, key)[0]);
    const limit = { interval: number("StartLimitIntervalSec"), burst: number("StartLimitBurst") };
    const pause = Number.parseInt(shared("RestartSec")[0] ?? "", 10);
    for (const life of [0, 1, 60, 330])
      assert.equal(startsUntilRefused(limit, pause, life), 5, `lives of ${String(life)} s`);
    // A job that uses up its own time each time ends there too.
    for (const runtimeMaxSec of [1, 300, 7200]) {
      const job = { ...base, idempotent: true, runtimeMaxSec } as const;
      assert.deepEqual(own(job, "RuntimeMaxSec"), [String(runtimeMaxSec)]);
      const interval = Number(own(job, "StartLimitIntervalSec")[0]);
      assert.ok(dropIn(job).split("[Service]")[0]?.includes("StartLimitIntervalSec="), "where systemd reads it");
      const stop = Number(shared("TimeoutStopSec")[0]);
      assert.equal(startsUntilRefused({ ...limit, interval }, pause, runtimeMaxSec + stop), 5);
      assert.ok(interval >= limit.interval);
    }
    const once = { ...base, runtimeMaxSec: 60 };
    assert.deepEqual([own(once, "RuntimeMaxSec"), own(once, "StartLimitIntervalSec")], [["60"], []]);
    assert.deepEqual([own(base, "RuntimeMaxSec"), shared("RuntimeMaxSec")], [[], []], "no limit unless asked for");
    // One that works for a while and fails now and then is no crash loop.
    assert.equal(startsUntilRefused(limit, pause, 331), Infinity);
    assert.equal(startsUntilRefused({ interval: 10, burst: 5 }, pause, 0), Infinity);
  });

  it("gives an agent its share of all CPUs, and all agents together no more than that", () => {
    const on = (vcpus: number): HeavyAgentUnit => ({ ...base, server: { vcpus, ramMiB: 4096 } });
    assert.deepEqual(own(on(1), "CPUQuota"), ["90%"]);
    assert.deepEqual(own(on(8), "CPUQuota"), ["720%"]);
    assert.deepEqual(own({ ...on(8), cpuQuotaPercentOfMachine: 25 }, "CPUQuota"), ["200%"]);
    const slice = files(on(8))[1]?.text ?? "";
    assert.deepEqual([values(slice, "CPUQuota"), values(slice, "MemoryMax")], [["720%"], ["80%"]]);
    assert.deepEqual(values(renderHeavyAgentSlice(), "CPUQuota"), []);
  });

  it("repeats a run only where that is safe, and starts no job without one", () => {
    assert.deepEqual(own(base, "Restart"), ["no"]);
    assert.deepEqual(own({ ...base, idempotent: true }, "Restart"), []);
    const run = "/var/lib/heavy-agent-run/%i/run.env";
    for (const agent of [base, { ...base, idempotent: true }]) {
      assert.deepEqual(own(agent, "AssertPathExists"), [run]);
      assert.deepEqual(own(agent, "EnvironmentFile"), [run]);
    }
    const resident: HeavyAgentUnit = { ...base, mode: "resident" };
    assert.deepEqual([own(resident, "Restart"), own(resident, "AssertPathExists")], [[], []]);
    assert.deepEqual(own(resident, "Environment"), ["HEAVY_AGENT_SOCKET=/run/heavy-agent/%i/agent.sock"]);
  });

  it("puts the run after the agent's own environment, which so cannot change the run id", () => {
    const read = own({ ...base, environmentFile: "/etc/ghost.env" }, "EnvironmentFile");
    assert.deepEqual(read, ["", "/etc/ghost.env", "/var/lib/heavy-agent-run/%i/run.env"]);
  });

  describe("judged by systemd", () => {
    let folder = "";
    const analyze = (...args: string[]) => spawnSync(systemd, args, { encoding: "utf8" });
    before(function () {
      if (analyze("--version").status !== 0) skip(this, "no systemd-analyze here");
      folder = mkdtempSync(join(tmpdir(), "heavy-agent-"));
    });
    after(() => {
      if (folder !== "") rmSync(folder, { recursive: true });
    });

    /** Writes the files; `install` takes programs and folders that are not here to ones that are. */
    const written = (
      name: string,
      list: readonly { path: string; text: string }[],
      install = (text: string) => text,
    ) => {
      const below = join(folder, name);
      for (const { path, text } of list) {
        mkdirSync(dirname(join(below, path)), { recursive: true });
        writeFileSync(join(below, path), install(text));
      }
      return below;
    };
    const here = (text: string): string => text.replaceAll("=/opt/heavy-agent/%i/run", `=${process.execPath}`);

    it("the shipped files: valid", () => {
      const list = Object.entries(shipped).map(([path, text]) => ({ path: path.replace("templates/", ""), text }));
      for (const { path } of list) {
        const checked = analyze("verify", "--man=no", join(written("shipped", list, here), path));
        assert.deepEqual([checked.status, checked.stderr], [0, ""], path);
      }
    });

    const full: HeavyAgentUnit = {
      ...base,
      memoryMaxMiB: 3000,
      memoryHighMiB: 2500,
      cpuQuotaPercentOfMachine: 50,
      tasksMax: 4096,
      idempotent: true,
      runtimeMaxSec: 7200,
      environmentFile: "/etc/ghost.env",
      exec: ["/bin/echo", "100 % $HOME", ";", '"\\'],
      readWritePaths: ["/srv/shots"],
      browserSandbox: true,
    };
    const agents: readonly (readonly [string, HeavyAgentUnit])[] = [
      ["a job", base],
      ["a resident agent", { ...base, mode: "resident" }],
      ["a job with everything", full],
    ];
    for (const [title, agent] of agents)
      it(`${title}: valid, exposure at most ${mostExposure.toFixed(1)}`, () => {
        const below = written(title, files(agent), here);
        const file = join(below, heavyAgentUnitName(agent.name));
        // systemd-analyze finds drop-ins of an instance beside the template only by the instance's own file.
        writeFileSync(file, here(renderHeavyAgentTemplate()));
        const checked = analyze("verify", "--man=no", file);
        assert.deepEqual([checked.status, checked.stderr], [0, ""]);
        const threshold = `--threshold=${String(mostExposure * 10)}`;
        const judged = analyze("security", "--offline=yes", threshold, "--no-pager", file);
        assert.equal(judged.status, 0, judged.stdout.trim().split("\n").at(-1));
        const sandbox = /RestrictNamespaces=~user .*may create/.test(judged.stdout);
        assert.equal(sandbox, agent.browserSandbox === true, "the drop-in is part of what was judged");
      });
  });
});
