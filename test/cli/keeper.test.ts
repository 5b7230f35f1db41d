// The Keeper beside a lab, as `npm start` runs it: the real agent on the fake card, an evening played in seconds.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { keeperBesideGenesis } from "../../cli/keeper/besideGenesis.ts";
import { endKeeper } from "../../cli/keeper/endKeeper.ts";
import { type LabKeeperOptions, type RunningLabKeeper, startLabKeeper } from "../../cli/keeper/labKeeper.ts";
import { isRecord } from "../../lab/host/files.ts";
import { KeeperApi } from "../../lab/keeper/api.ts";
import type { LabProxmox } from "../../lab/keeper/config.ts";
import { labEvening } from "../../lab/keeper/evening.ts";
import type { Identity } from "../../lab/keeper/folder.ts";
import { findKeeper, identityOf, isAlive, keeperFolder, writeFound } from "../../lab/keeper/folder.ts";
import { playEvening } from "../../lab/keeper/play.ts";
import { findWorker, startWorker } from "../../lab/keeper/workers.ts";
import { collectKeeper } from "../../lab/page/collect-keeper.ts";
import { keeperView } from "../../lab/page/keeper-view.ts";
import { readAllStats } from "../../runtime-agent/src/keeper/processes/pids/stat.ts";
import { skip } from "../run/skip.ts";
import { Hive } from "./hive.ts";

const evening = labEvening();
const rate = 6000;
/** Starts the Keeper of a lab as `npm start` does, and stays: `STATE OPTIONS`. */
const ownerProgram = `
  import { startLabKeeper } from ${JSON.stringify(new URL("../../cli/keeper/labKeeper.ts", import.meta.url).href)};
  const [state, options] = process.argv.slice(1);
  const keeper = await startLabKeeper(state, JSON.parse(options));
  console.log(keeper.kind, keeper.why);
  setInterval(() => undefined, 1000);
`;

function childrenOf({ pid }: Identity): Identity[] {
  return readAllStats()
    .filter(({ parent }) => parent === pid)
    .map((child) => identityOf(child.pid));
}

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

  async function proxmox(): Promise<LabProxmox> {
    const { startProxmox } = await import("../../lab/proxmox/index.ts");
    const api = await startProxmox({ stateDir: state });
    running.push({ stop: () => api.close() });
    return { url: api.url, tokenFile: api.tokenFile, caFile: api.caCertFile, node: "pve" };
  }

  it("plays an evening: load, market close, The Muse, EVA, a scan, heat, and the morning, decided in order", async function () {
    const keeper = await started(this, { play: { evening, rate }, proxmox: await proxmox() });
    assert.ok("pid" in keeper.host, JSON.stringify(keeper.host));
    const host = KeeperApi.admin(join(keeper.folder.root, "run-host"));
    const words = new Map<string, unknown>();
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
    const asked: Promise<void>[] = [];
    const tell = (at: string): void => {
      told.push(at);
      const noted = host?.get("/status").then(({ json }) => void words.set(at, isRecord(json) && json["marketOpen"]));
      if (noted !== undefined) asked.push(noted);
    };
    await play(keeper, tell).finally(() => clearInterval(watching));
    await Promise.all(asked);
    // The host side's word is of the evening's time, whatever this machine's is.
    assert.deepEqual([words.get("22:20"), words.get("23:20")], [true, false]);
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
    const keeper = await started(this, { proxmox: await proxmox() });
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

  it("leaves nothing alive after a SIGKILL of its command and a stop of the lab", async function () {
    if (process.platform !== "linux") skip(this, "the Keeper runs on Linux");
    const hive = new Hive();
    running.push({ stop: () => endKeeper(hive.lab).then(() => hive.close()) });
    const options: LabKeeperOptions = { proxmox: await proxmox() };
    const args = ["--input-type=module", "-e", ownerProgram, hive.lab, JSON.stringify(options)];
    const owner = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const [said]: unknown[] = await once(owner.stdout.setEncoding("utf8"), "data");
    if (/no C compiler/.test(String(said))) skip(this, String(said));
    const folder = keeperFolder(hive.lab);
    const worker = await startWorker(folder.services, "research");
    process.kill(worker.pid, "SIGSTOP");
    owner.kill("SIGKILL");
    await once(owner, "exit");
    const sides = findKeeper(folder)?.sides ?? [];
    const left = [...sides, ...sides.flatMap(childrenOf), identityOf(worker.pid)];
    assert.ok(sides.length === 2 && left.length > 3 && left.every(isAlive), JSON.stringify(left));
    const stopped = await hive.run(["lab", "stop", "--json"]);
    assert.equal(stopped.code, 0, stopped.stderr);
    assert.deepEqual(JSON.parse(stopped.stdout), {
      running: false,
      stopped: false,
      keeperEnded: 3,
      sentinelEnded: false,
    });
    assert.deepEqual(left.filter(isAlive), []);
    assert.match((await hive.run(["lab", "stop"])).stdout, /^was not running$/m);
  });

  it("keeps The Muse waiting by the load alone: without it, the evening goes wrong", async function () {
    const keeper = await started(this, { play: { evening, rate } });
    assert.ok(keeper.clock !== undefined);
    // The load is low for long enough before the evening begins.
    await sleep(2_500);
    const calm = { ...evening, steps: evening.steps.map((step) => ({ ...step, load: undefined })) };
    const signal = new AbortController().signal;
    const playing = playEvening({ ...keeper, clock: keeper.clock, evening: calm, signal, tell: () => undefined });
    await assert.rejects(playing, /before 23:20 the Keeper decided {"what":"start"}/);
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
