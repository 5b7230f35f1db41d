import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { getPriority, setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Cgroup } from "../../runtime-agent/src/keeper/processes/cgroup/cgroup.ts";
import { sendSignal } from "../../runtime-agent/src/keeper/processes/pids/signal.ts";
import { readStat } from "../../runtime-agent/src/keeper/processes/pids/stat.ts";
import { openServiceProcess } from "../../runtime-agent/src/keeper/processes/service/open.ts";
import { skip } from "../run/skip.ts";
import { brokenChains, burnerMissing, startBurner } from "../support/burner.ts";
import type { Burner } from "../support/burner.ts";
import { openTestCgroups } from "../support/cgroup.ts";
import type { TestCgroups } from "../support/cgroup.ts";
import { awaitTrue, longMs, statOf } from "../support/liveProcess.ts";

describe("processes in cgroups", function () {
  let groups: TestCgroups;
  const burners: Burner[] = [];

  before(function () {
    const opened = openTestCgroups();
    if ("missing" in opened) return skip(this, opened.missing);
    groups = opened;
    const missing = burnerMissing();
    if (missing !== undefined) skip(this, missing);
  });
  afterEach(async () => {
    for (const burner of burners.splice(0)) await burner.end();
  });
  after(async () => {
    await groups?.remove();
  });

  async function burning(name: string, processes = 4): Promise<{ group: Cgroup; burner: Burner }> {
    const group = groups.group(name);
    const burner = await startBurner(processes, { cgroup: group.folder });
    burners.push(burner);
    return { group, burner };
  }
  const serviceIn = (name: string): ReturnType<typeof openServiceProcess> =>
    openServiceProcess({ cgroup: `${groups.path}/${name}` }, { mount: groups.mount });

  it("freezes a busy tree so that its work stands still, and lets it go on without loss", async () => {
    const { burner } = await burning("freeze");
    const service = serviceIn("freeze");
    assert.equal(await service.state(), "running");
    // The workers, the first process and the one that started the second half.
    assert.equal((await service.pids()).length, burner.processes + 2);
    for (let round = 0; round < 5; round += 1) {
      await service.freeze(longMs);
      assert.equal(await service.state(), "frozen");
      const held = burner.progress();
      await sleep(30);
      assert.deepEqual(burner.progress(), held);
      assert.deepEqual(brokenChains(held), []);
      await service.thaw(longMs);
      await burner.awaitProgress(held, 3, longMs);
    }
    assert.equal(await service.state(), "running");
    assert.deepEqual(brokenChains(burner.progress()), []);
  });

  it("gives every thread its own priority back, one too that a Keeper left hurried", async () => {
    const { group } = await burning("nice", 16);
    const workers = group.pids();
    const [kept, left] = workers;
    assert.ok(kept !== undefined && left !== undefined);
    setPriority(kept, 7);
    await group.freeze(longMs);
    const niceOf = (): readonly number[] => workers.map((pid) => getPriority(pid));
    const expected = workers.map((pid) => (pid === kept ? 7 : 0));
    assert.deepEqual(niceOf(), expected);
    setPriority(left, -19);
    await group.thaw(longMs);
    assert.deepEqual(niceOf(), expected);
  });

  it("freezes what lies in groups below, and finds its pids", async () => {
    const parent = groups.group("deep");
    const { group, burner } = await burning("deep/er/est");
    const service = serviceIn("deep");
    assert.equal((await service.pids()).length, burner.processes + 2);
    await service.freeze(longMs);
    assert.equal(group.readEvents()?.frozen, true);
    await service.thaw(longMs);
    await service.kill(longMs);
    assert.deepEqual(parent.pids(), []);
    parent.remove();
    assert.equal(parent.exists(), false);
    assert.equal(await service.state(), "absent");
  });

  it("lets a group go again when it does not freeze in time", async () => {
    const { group, burner } = await burning("late", 16);
    const folder = group.folder;
    // A deadline of 0 looks once, and 16 busy processes on a few cores are not frozen by then; when they are, again.
    let refused: unknown;
    for (let turn = 0; turn < 50 && refused === undefined; turn += 1) {
      await group.freeze(0).catch((error: unknown) => (refused = error));
      if (refused === undefined) await group.thaw(longMs);
    }
    assert.ok(refused instanceof Error);
    assert.match(refused.message, /did not freeze within 0 ms/);
    assert.equal(readFileSync(join(folder, "cgroup.freeze"), "utf8").trim(), "0");
    await burner.awaitProgress(burner.progress(), 1, longMs);
  });

  it("stops by signals, tells a tree stopped in part, and ends frozen processes by TERM and by KILL", async () => {
    const { group, burner } = await burning("signals");
    const service = serviceIn("signals");
    await service.stop(longMs);
    assert.equal(await service.state(), "stopped");
    const held = burner.progress();
    await sleep(20);
    assert.deepEqual(burner.progress(), held);
    sendSignal(statOf(burner.root), "SIGCONT");
    await awaitTrue(() => readStat(burner.root)?.state !== "T", "the first process goes on");
    assert.equal(await service.state(), "partly");
    await service.cont(longMs);
    await burner.awaitProgress(held, 1, longMs);
    await service.freeze(longMs);
    await service.term(longMs);
    assert.equal(await service.state(), "absent");
    assert.equal(group.isFreezeAsked(), false);
    const again = await burning("signals");
    await service.freeze(longMs);
    await service.kill(longMs);
    assert.deepEqual(again.group.pids(), []);
    // The next tenant is not born frozen.
    assert.equal(group.isFreezeAsked(), false);
  });

  it("starts a service inside its group, even after a crash left the group frozen", async () => {
    const group = groups.group("start");
    await group.freeze(longMs);
    const service = openServiceProcess(
      { cgroup: `${groups.path}/start`, start: ["sh", "-c", 'test "$1" = "; false" && exec sleep 60', "x", "; false"] },
      { mount: groups.mount },
    );
    await service.start(longMs);
    const [pid] = await service.pids();
    assert.ok(pid !== undefined);
    await awaitTrue(() => readStat(pid)?.name === "sleep", "the command runs with its arguments as given");
    await service.start(longMs);
    assert.deepEqual(await service.pids(), [pid]);
    await service.kill(longMs);
  });

  it("refuses paths outside, its own group, folders that are no cgroup, and groups that are gone", async () => {
    for (const path of ["..", "/", "", "a/../../etc", "x/cgroup.procs"])
      assert.throws(() => Cgroup.at(path, groups.mount), { name: "FaultsError" }, path);
    const folder = mkdtempSync(join(tmpdir(), "hive-no-cgroup-"));
    assert.throws(() => Cgroup.at("x", folder), { name: "ProcessError", fault: "unsupported" });
    rmSync(folder, { recursive: true });
    const gone = Cgroup.at(`${groups.path}/gone`, groups.mount);
    await assert.rejects(gone.freeze(100), { name: "ProcessError", fault: "absent" });
    assert.equal(gone.exists(), false);
    await gone.kill(100);
    // The Keeper in a group of its own: freezing it, or a group above, would freeze the Keeper.
    const script = `import { Cgroup } from ${JSON.stringify(import.meta.resolve("../../runtime-agent/src/keeper/processes/cgroup/cgroup.ts"))};
      Cgroup.at(process.argv[1], process.argv[2]).attach(process.pid);`;
    const own = `${groups.path}/own`;
    groups.group("own/keeper");
    const tryIt = `${script}
      for (const path of ["/keeper", ""]) try { Cgroup.at(${JSON.stringify(own)} + path, process.argv[2]); console.log("taken"); } catch (e) { console.log(e.fault); }`;
    const done = spawnSync(process.execPath, ["--input-type=module", "-e", tryIt, `${own}/keeper`, groups.mount], {
      encoding: "utf8",
    });
    assert.equal(done.stdout, "refused\nrefused\n", done.stderr);
  });

  it("acts on a systemd unit through the cgroup that systemctl names, and ends it through systemd", async () => {
    const { group, burner } = await burning("unit.service");
    const folder = mkdtempSync(join(tmpdir(), "hive-systemctl-"));
    const calls = join(folder, "calls");
    const systemctl = join(folder, "systemctl");
    const path = `/${groups.path}/unit.service`;
    writeFileSync(systemctl, `#!/bin/sh\necho "$*" >>${calls}\ncase $1 in show) echo "${path}";; esac\n`);
    chmodSync(systemctl, 0o755);
    const service = openServiceProcess({ unit: "muse.service" }, { systemctl, mount: groups.mount });
    await service.freeze(longMs);
    assert.equal(group.readEvents()?.frozen, true);
    assert.equal(await service.state(), "frozen");
    await service.thaw(longMs);
    await burner.awaitProgress(burner.progress(), 1, longMs);
    await service.kill(longMs);
    assert.equal(await service.state(), "absent");
    assert.match(readFileSync(calls, "utf8"), /^stop --no-block muse\.service$/m);
    for (const unit of ["-x.service", "a b.service", "muse", "../x.service"])
      assert.throws(() => openServiceProcess({ unit }), { name: "FaultsError" }, unit);
    const absent = openServiceProcess({ unit: "muse.service" }, { systemctl: join(folder, "none") });
    await assert.rejects(absent.freeze(100), { fault: "unsupported" });
    rmSync(folder, { recursive: true });
  });
});
