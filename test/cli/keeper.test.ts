// The Keeper beside a lab, as `npm start` runs it: the real agent on the fake card, an evening played in seconds.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseCommandLine } from "../../cli/args/parse.ts";
import { keeperBesideGenesis } from "../../cli/keeper/besideGenesis.ts";
import { type LabKeeperOptions, type RunningLabKeeper, startLabKeeper } from "../../cli/keeper/labKeeper.ts";
import { checkKeeperConfig } from "../../components/shared/agent/parseKeeperConfig.ts";
import { cardState } from "../../lab/keeper/card.ts";
import { findDecisions, labEvening, parseEvening } from "../../lab/keeper/evening.ts";
import { findKeeper, identityOf, isAlive, keeperFolder, runtimeFolder, writeFound } from "../../lab/keeper/folder.ts";
import { playEvening } from "../../lab/keeper/play.ts";
import { labServices } from "../../lab/keeper/services.ts";
import { findWorker, startWorker } from "../../lab/keeper/workers.ts";
import { collectKeeper } from "../../lab/page/collect-keeper.ts";
import { keeperView } from "../../lab/page/keeper-view.ts";
import { skip } from "../run/skip.ts";

const evening = labEvening();
const rate = 6000;

function play(
  keeper: RunningLabKeeper,
  tell: (at: string) => void,
  signal = new AbortController().signal,
): Promise<void> {
  assert.ok(keeper.clock !== undefined);
  return playEvening({ ...keeper, clock: keeper.clock, evening, signal, tell });
}

describe("the Keeper beside the lab", function () {
  this.timeout(120_000);
  let state: string;
  const running: { stop: () => Promise<void> }[] = [];

  beforeEach(() => {
    state = mkdtempSync(join(tmpdir(), "hive-keeper-"));
  });
  afterEach(async () => {
    for (const each of running.splice(0)) await each.stop();
    rmSync(state, { recursive: true, force: true });
  });

  async function started(context: Mocha.Context, given: LabKeeperOptions = {}): Promise<RunningLabKeeper> {
    if (process.platform !== "linux") skip(context, "the Keeper runs on Linux");
    const keeper = await startLabKeeper(state, given);
    if (keeper.kind === "running") {
      running.push(keeper);
      return keeper;
    }
    if (/no C compiler/.test(keeper.why)) skip(context, keeper.why);
    assert.fail(keeper.why);
  }

  it("plays an evening: market close, The Muse, EVA, a scan, heat, and the morning, decided in order", async function () {
    const keeper = await started(this, { play: { evening, rate } });
    const told: string[] = [];
    const views: string[] = [];
    const watching = setInterval(() => {
      void collectKeeper(state).then((answers) => {
        const { running: runs, holder, services } = keeperView(answers);
        const frozen = services.filter(({ lowered }) => lowered).map(({ name, state: how }) => `${name} ${how}`);
        views.push(`${String(runs)} ${holder?.service ?? "free"}${frozen.map((each) => ` | ${each}`).join("")}`);
      });
    }, 100);
    // It throws when a scene's decisions are not made, in their order.
    await play(keeper, (at) => told.push(at)).finally(() => clearInterval(watching));
    assert.deepEqual(
      told,
      evening.steps.map(({ at }) => at),
    );
    // The page saw it happen: EVA on the card with The Muse frozen and its VRAM moved.
    const wanted = "true eva-core | muse-images frozen, VRAM in RAM";
    assert.ok(views.includes(wanted), [...new Set(views)].join("\n"));
  });

  it("starts, can be looked at, is found by the page, and leaves nothing behind when it is stopped", async function () {
    const keeper = await started(this);
    assert.equal(statSync(keeper.folder.config).mode & 0o077, 0);
    const [program = "", ...args] = keeper.look.replace(" --watch", "").split(" ");
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
    let shown = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (shown += text));
    const [code]: unknown[] = await once(child, "close");
    assert.equal(code, 0, shown);
    assert.match(shown, /muse-images/);
    assert.equal(keeperView(await collectKeeper(state)).running, true);
    const second = await startLabKeeper(state);
    assert.equal(second.kind, "not-running");
    assert.match("why" in second ? second.why : "", new RegExp(`process ${String(process.pid)} runs it already`));
    const own = identityOf(keeper.pid);
    await startWorker(keeper.folder.services, "research");
    await keeper.stop();
    running.length = 0;
    assert.equal(isAlive(own), false);
    assert.equal(findWorker(keeper.folder.services, "research"), undefined);
    assert.equal(existsSync(keeper.runtime), false);
    assert.equal(keeperView(await collectKeeper(state)).running, false);
  });

  it("joins a host side on the lab's Proxmox, whose word about the market the arbiter holds", async function () {
    const { startProxmox } = await import("../../lab/proxmox/index.ts");
    const api = await startProxmox({ stateDir: state });
    running.push({ stop: () => api.close() });
    const proxmox = { url: api.url, tokenFile: api.tokenFile, caFile: api.caCertFile, node: "pve" };
    const keeper = await started(this, { proxmox });
    assert.ok("pid" in keeper.host, JSON.stringify(keeper.host));
    for (const giveUp = performance.now() + 20_000; ; await sleep(50)) {
      const view = keeperView(await collectKeeper(state));
      if (view.hostHeard) break;
      assert.ok(performance.now() < giveUp, "the arbiter never heard the host side");
    }
    const both = [identityOf(keeper.pid), keeper.host];
    await keeper.stop();
    running.splice(1);
    assert.deepEqual(both.map(isAlive), [false, false]);
  });

  it("ends the Keeper that a killed command left, and starts its own", async function () {
    const first = await started(this);
    const gone = spawn(process.execPath, ["-e", "0"]);
    const owner = identityOf(gone.pid ?? 0);
    await once(gone, "exit");
    const left = identityOf(first.pid);
    writeFound(first.folder, { ...left, sides: [left], owner, runtime: first.runtime });
    const second = await started(this);
    assert.equal(isAlive(left), false);
    assert.equal(findKeeper(keeperFolder(state))?.pid, second.pid);
  });

  it("says in one line why it cannot run, and the lab goes on", async function () {
    const path = process.env["PATH"];
    process.env["PATH"] = state;
    try {
      const beside = await keeperBesideGenesis(state, { evening: true });
      running.push(beside);
      assert.equal(beside.told.running, false);
      assert.match(beside.line, process.platform === "linux" ? /no C compiler/ : /needs Linux/);
      assert.doesNotMatch(beside.line, /\n/);
      await beside.play(new AbortController().signal);
    } finally {
      process.env["PATH"] = path;
    }
  });

  it("stops in the middle of an evening when it is told to", async function () {
    const keeper = await started(this, { play: { evening, rate } });
    const stop = new AbortController();
    const told: string[] = [];
    await play(
      keeper,
      (at) => {
        told.push(at);
        if (told.length === 2) stop.abort();
      },
      stop.signal,
    );
    assert.equal(told.length, 2);
    assert.equal(findWorker(keeper.folder.services, "eva-core"), undefined);
  });
});

describe("the lab's evening as data", () => {
  it("has scenes in order, over midnight, and a configuration that the agent takes", async () => {
    const { steps, fromMs, toMs } = labEvening();
    const times = [fromMs, ...steps.map(({ atMs }) => atMs), toMs];
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
    assert.equal(new Date(steps.at(-1)?.atMs ?? 0).toISOString(), "2026-01-16T07:00:00.000Z");
    const { labArbiterConfig } = await import("../../lab/keeper/config.ts");
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
