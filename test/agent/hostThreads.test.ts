import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createPinner } from "../../runtime-agent/src/keeper/host/threads/pinner.ts";
import { qemuPid, threadsOf } from "../../runtime-agent/src/keeper/host/threads/procThreads.ts";
import { parseMemory, readMemory } from "../../runtime-agent/src/keeper/host/hostLoad.ts";
import { skip } from "../run/skip.ts";

describe("Keeper, host side: threads and memory of the host", () => {
  let folder: string;
  const children: ChildProcess[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "hive-threads-"));
    for (const path of [
      "run",
      "cgroup/system.slice",
      "cgroup/user.slice",
      "cgroup/qemu.slice/100.scope",
      "cgroup/qemu.slice/200.scope",
    ])
      await mkdir(join(folder, path), { recursive: true });
    await writeFile(join(folder, "cgroup/cgroup.subtree_control"), "cpu memory");
    await writeFile(join(folder, "cgroup/qemu.slice/cgroup.subtree_control"), "cpuset cpu");
    for (const path of ["system.slice", "user.slice", "qemu.slice/100.scope", "qemu.slice/200.scope"])
      await writeFile(join(folder, "cgroup", path, "cpuset.cpus.effective"), "0-1\n");
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
    await rm(folder, { recursive: true });
  });
  /** A process whose command line says that it is a VM. */
  const fakeVm = async (vmid: number): Promise<number> => {
    const argv = ["-e", "setInterval(()=>{},1000);process.stdout.write('up')", "--", "-id", String(vmid)];
    const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "ignore"] });
    children.push(child);
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    await writeFile(join(folder, "run", `${String(vmid)}.pid`), `${String(child.pid)}\n`);
    return child.pid ?? 0;
  };
  const pinner = (realtimePriority = 0) =>
    createPinner({
      rule: { vmid: 200, cpus: [1], realtimePriority },
      pidFolder: join(folder, "run"),
      cgroupRoot: join(folder, "cgroup"),
    });

  it("moves real threads of two processes apart, and finds nothing to do at the second look", async function () {
    if (cpus().length < 2) skip(this, "needs two CPUs");
    const [trading, other] = [await fakeVm(200), await fakeVm(100)];
    await pinner().check();
    const mine = await threadsOf("/proc", trading);
    assert.ok(mine.length > 1 && mine.every(({ cpus: allowed }) => allowed.join() === "1"), JSON.stringify(mine));
    const theirs = await threadsOf("/proc", other);
    assert.ok(theirs.length > 1 && theirs.every(({ cpus: allowed }) => !allowed.includes(1)), JSON.stringify(theirs));
    assert.equal(await readFile(join(folder, "cgroup/system.slice/cpuset.cpus"), "utf8"), "0");
    assert.equal(await readFile(join(folder, "cgroup/qemu.slice/100.scope/cpuset.cpus"), "utf8"), "0");
    await assert.rejects(readFile(join(folder, "cgroup/qemu.slice/200.scope/cpuset.cpus")));
    assert.equal(await readFile(join(folder, "cgroup/cgroup.subtree_control"), "utf8"), "+cpuset");
    const again = await pinner().check();
    assert.deepEqual(
      again.applied.filter(({ kind }) => kind !== "group"),
      [],
    );
  });

  it("leaves alone a process that a stale pid file names", async () => {
    await writeFile(join(folder, "run/200.pid"), `${String(process.pid)}\n`);
    assert.equal(await qemuPid("/proc", join(folder, "run"), 200), undefined);
    const report = await pinner().check();
    assert.deepEqual(
      report.applied.filter(({ kind }) => kind !== "group"),
      [],
    );
  });

  it("says what it could not do, and goes on with the rest", async () => {
    await fakeVm(200);
    const deeds: string[] = [];
    const report = await createPinner({
      rule: { vmid: 200, cpus: [1], realtimePriority: 10 },
      pidFolder: join(folder, "run"),
      cgroupRoot: join(folder, "cgroup"),
      onlineFile: await (async () => {
        await writeFile(join(folder, "online"), "0-1\n");
        return join(folder, "online");
      })(),
      execute: (program, argv) => {
        deeds.push(`${program} ${argv.join(" ")}`);
        return program === "taskset" ? Promise.reject(new Error("taskset: failed\nmore")) : Promise.resolve();
      },
    }).check();
    assert.ok(report.faults.length > 0 && report.faults.every((fault) => !fault.includes("\n")));
    assert.ok(
      deeds.some((deed) => /^chrt -f -p 11 \d+$/.test(deed)),
      deeds.join("\n"),
    );
    assert.ok(report.applied.some(({ kind }) => kind === "group"));
  });

  it("reads the memory of this host", async () => {
    const memory = await readMemory();
    assert.ok(memory !== undefined && memory.totalMiB > memory.availableMiB && memory.availableMiB > 0);
    const seen = parseMemory(
      "MemTotal:       2048 kB\nMemFree: 1 kB\nMemAvailable:    1024 kB\n",
      "some avg10=12.34 avg60=0.00 avg300=0.00 total=1\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=1\n",
    );
    assert.deepEqual(seen, { totalMiB: 2, availableMiB: 1, stalledPercent: 12.34 });
    assert.equal(parseMemory("nonsense", undefined), undefined);
    assert.equal(await readMemory(join(folder, "none")), undefined);
  });
});
