import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { assertMayTouch, sendSignal } from "../../runtime-agent/src/keeper/processes/pids/signal.ts";
import { isStopped, readStat, standing } from "../../runtime-agent/src/keeper/processes/pids/stat.ts";
import { ProcessTree } from "../../runtime-agent/src/keeper/processes/pids/tree.ts";
import { openServiceProcess } from "../../runtime-agent/src/keeper/processes/service/open.ts";
import { stateOfProcesses } from "../../runtime-agent/src/keeper/processes/service/stopped.ts";
import { skip } from "../run/skip.ts";
import { burnerMissing } from "../support/burner.ts";
import { awaitTrue, longMs, shell, statOf } from "../support/liveProcess.ts";

describe("process trees by pid and start time", function () {
  before(function () {
    if (process.platform !== "linux") skip(this, "reads Linux's /proc");
  });

  it("never signals a process whose number is in use again", async () => {
    const child = shell("exec sleep 60");
    const exited = once(child, "exit");
    const stat = statOf(child.pid);
    const other = { pid: stat.pid, startTicks: stat.startTicks - 1 };
    assert.equal(sendSignal(other, "SIGKILL"), false);
    assert.equal(readStat(child.pid)?.startTicks, stat.startTicks);
    assert.equal(sendSignal(stat, "SIGSTOP"), true);
    await awaitTrue(() => isStopped(statOf(child.pid)), "it stops");
    assert.equal(sendSignal(stat, "SIGCONT"), true);
    const tree = new ProcessTree(other);
    assert.deepEqual(tree.members(), []);
    await tree.kill(100);
    assert.equal(readStat(child.pid)?.startTicks, stat.startTicks);
    await new ProcessTree(stat).kill(longMs);
    await exited;
    assert.equal(sendSignal(stat, "SIGTERM"), false);
  });

  it("touches neither process 1, nor itself, nor the kernel's threads", () => {
    for (const pid of [1, process.pid, process.ppid])
      assert.throws(() => assertMayTouch(statOf(pid)), { fault: "refused" }, String(pid));
    if (readStat(2)?.name === "kthreadd") assert.throws(() => assertMayTouch(statOf(2)), { fault: "refused" });
  });

  it("stops a tree that forks all the while, with nobody left running", async () => {
    const child = shell("while :; do (sleep 0.02; sleep 0.02) & (:) ; done");
    const tree = new ProcessTree(statOf(child.pid));
    await awaitTrue(() => tree.members().length > 1, "it forks");
    for (let round = 0; round < 3; round += 1) {
      await tree.stop(longMs);
      const held = tree.members();
      assert.ok(held.length > 0 && standing(held).length === held.length);
      await sleep(20);
      assert.deepEqual(
        tree.members().map(({ pid }) => pid),
        held.map(({ pid }) => pid),
      );
      await tree.cont(longMs);
    }
    await tree.kill(longMs);
    assert.deepEqual(tree.members(), []);
  });

  it("takes one for stopped that waits in vfork for a child that is", async function () {
    const folder = mkdtempSync(join(tmpdir(), "hive-vfork-"));
    const program = join(folder, "vfork");
    const source =
      "#include <signal.h>\n#include <unistd.h>\nint main() { if (vfork() == 0) { raise(SIGSTOP); _exit(0); } pause(); }";
    const compiled = spawnSync("cc", ["-x", "c", "-o", program, "-"], { input: source, encoding: "utf8" });
    if (compiled.error !== undefined) return skip(this, "no C compiler (cc)");
    assert.equal(compiled.status, 0, compiled.stderr);
    const child = shell(`exec ${program}`);
    const exited = once(child, "exit");
    const tree = new ProcessTree(statOf(child.pid));
    await awaitTrue(() => tree.members().some(isStopped), "its child is stopped");
    assert.equal(statOf(child.pid).state, "D");
    await tree.stop(longMs);
    assert.equal(stateOfProcesses(tree.members()), "stopped");
    await tree.cont(longMs);
    await awaitTrue(() => tree.members().length === 1, "its child has ended");
    assert.equal(stateOfProcesses(tree.members()), "running");
    await tree.kill(longMs);
    await exited;
    rmSync(folder, { recursive: true, force: true });
  });

  it("keeps hold of children whose parent has ended", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hive-pidfile-"));
    const pidFile = join(folder, "pid");
    const child = shell("sleep 61 & sleep 62 & wait");
    const exited = once(child, "exit");
    writeFileSync(pidFile, `${String(child.pid)}\n`);
    const service = openServiceProcess({ pidFile });
    await awaitTrue(() => new ProcessTree(statOf(child.pid)).members().length === 3, "the tree grows");
    assert.equal((await service.pids()).length, 3);
    sendSignal(statOf(child.pid), "SIGKILL");
    await exited;
    assert.equal(readStat(child.pid), undefined);
    assert.equal((await service.pids()).length, 2);
    await service.stop(longMs);
    assert.equal(await service.state(), "stopped");
    // A stopped process takes TERM only once it goes on.
    await service.term(longMs);
    assert.equal(await service.state(), "absent");
    await assert.rejects(service.freeze(100), { fault: "unsupported" });
    rmSync(folder, { recursive: true });
  });

  it("says which process did not end by TERM, and KILL ends it", async () => {
    const child = shell("trap '' TERM; while :; do sleep 0.05; done");
    const tree = new ProcessTree(statOf(child.pid));
    await awaitTrue(() => tree.members().length > 1, "its loop runs");
    await assert.rejects(tree.term(150), (error: Error) => {
      assert.match(error.message, new RegExp(`still there after SIGTERM: ${String(child.pid)} \\(sh, `));
      return true;
    });
    await tree.kill(longMs);
    assert.equal(child.signalCode ?? (await once(child, "exit"))[1], "SIGKILL");
  });

  it("says at once why a start command failed, and not only that nobody appeared", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hive-start-"));
    const pidFile = join(folder, "pid");
    const failing = openServiceProcess({ pidFile, start: ["/bin/sh", "-c", "exit 3"] });
    await assert.rejects(failing.start(longMs), /\/bin\/sh ended with status 3/);
    const missing = openServiceProcess({ pidFile, start: ["no-such-program"] });
    await assert.rejects(missing.start(longMs), /no-such-program: there is no such program/);
    // One that ends well may have had another start it: what counts is the process.
    const well = openServiceProcess({ pidFile, start: ["sh", "-c", `sleep 60 & echo $! >${pidFile}`] });
    await well.start(longMs);
    assert.equal(await well.state(), "running");
    await well.kill(longMs);
    rmSync(folder, { recursive: true });
  });

  it("takes a zombie for gone", async function () {
    const missing = burnerMissing();
    if (missing !== undefined) skip(this, missing);
    // The child ends at once; its parent never looks.
    const parent = spawn("perl", ["-e", "my $p = fork; if (!$p) { exit 0 } sleep 60"], { stdio: "ignore" });
    assert.ok(parent.pid !== undefined);
    const tree = new ProcessTree(statOf(parent.pid));
    await sleep(100);
    assert.deepEqual(
      tree.members().map(({ pid }) => pid),
      [parent.pid],
    );
    await tree.kill(longMs);
  });

  it("names a service with no holder, or with two", () => {
    assert.throws(() => openServiceProcess({}), /is none; allowed: exactly one of them/);
    assert.throws(() => openServiceProcess({ cgroup: "a", unit: "b.service" }), /cgroup and unit/);
    assert.throws(() => openServiceProcess({ pidFile: "run/x.pid" }), /an absolute path/);
  });
});
