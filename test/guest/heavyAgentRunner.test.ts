// What the runner makes of the agent's end where systemd does not say it: killed for memory, and stopped by the start limit.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { heavyAgentUnitName, renderHeavyAgentUnits } from "../../components/shared/vps/heavyAgentUnit.ts";
import { skip } from "../run/skip.ts";
import { start, temporaryFolder } from "../support/agentChild.ts";
import { freePort } from "../../lab/host/freePort.ts";
import { bootMicrovm, microvmCpus, microvmRamMiB, type Microvm } from "../support/microvm.ts";
import { microvmImage, microvmImpossible } from "../support/microvmImage.ts";
import { ensureGuestTools } from "../support/guestTree.ts";
import { remoteSystemd } from "../support/remoteSystemd.ts";
import { runIdOf, sendSignal, until } from "../support/runnerSignals.ts";
import { sentinelStub } from "../support/sentinelStub.ts";

/** Grows until it is killed. */
const hog = `#!/bin/sh\nexec perl -e 'my @eaten; push @eaten, "x" x 8388608 while 1'\n`;

describe("the runner of an agent that the kernel kills, on a real systemd with cgroup v2", function () {
  this.timeout(300_000);
  let guest: Microvm;

  before(async function () {
    const why = microvmImpossible();
    if (why !== undefined) skip(this, why);
    await ensureGuestTools();
    guest = await bootMicrovm(await microvmImage((line) => process.stderr.write(`${line}\n`)), { asleep: true });
    const script = `set -e\n${installed("once", false)}${installed("again", true)}systemctl daemon-reload\n`;
    const ran = await guest.ssh("sh -s", script);
    assert.equal(ran.status, 0, ran.stderr);
  });
  after(async () => {
    await guest?.close();
  });

  function installed(name: string, idempotent: boolean): string {
    const server = { vcpus: microvmCpus, ramMiB: microvmRamMiB };
    const units = renderHeavyAgentUnits({ name, server, idempotent, memoryMaxMiB: 64 });
    assert.ok(units.ok);
    const dropIn = `${heavyAgentUnitName(name)}.d/override.conf`;
    const files = [
      ...units.value.map(({ path, text }) => [`/etc/systemd/system/${path}`, text, "644"] as const),
      // A person's own: two starts without a pause, as each takes its time in an emulated guest.
      [`/etc/systemd/system/${dropIn}`, "[Unit]\nStartLimitBurst=2\n[Service]\nRestartSec=200ms\n", "644"] as const,
      [`/opt/heavy-agent/${name}/run`, hog, "755"] as const,
    ];
    return files
      .map(([path, text, mode]) => `install -D -m ${mode} /dev/stdin '${path}' <<'END-OF-FILE'\n${text}END-OF-FILE\n`)
      .join("");
  }

  /** One run of an agent, and what its Sentinel hears of it. */
  async function played(name: string, idempotent: boolean) {
    await using stack = new AsyncDisposableStack();
    const { folder } = stack.use(await temporaryFolder());
    const key = randomBytes(32);
    const sentinel = await sentinelStub(name, key);
    stack.defer(() => sentinel.close());
    const there = join(folder, "guest");
    await mkdir(there);
    const { systemctl, journalctl, ...rest } = await remoteSystemd(guest, name, there);
    stack.defer(() => rest.close());
    const { run, state, cgroup } = rest;
    const port = await freePort();
    const address = `127.0.0.1:${String(port)}`;
    const written = { config: join(folder, "config.json"), programs: join(folder, "programs.json") };
    await writeFile(join(folder, "key"), key.toString("hex"), { mode: 0o600 });
    await writeFile(
      written.config,
      JSON.stringify({
        ...{ version: 1, listen: address, address },
        paths: { state: join(folder, "state"), runtime: join(folder, "runtime") },
        sentinel: { address: `127.0.0.1:${String(sentinel.port)}`, keyFile: join(folder, "key") },
        agent: { name, idempotent, run, state, cgroup },
      }),
    );
    await writeFile(written.programs, JSON.stringify({ systemctl, journalctl }));
    const runner = start(process.execPath, ["test/agent/runnerChild.ts", written.config, written.programs]);
    stack.defer(async () => {
      runner.child.kill("SIGTERM");
      await runner.ended;
    });
    assert.equal(await sendSignal({ agent: name, key, port }, "one", {}), 202);
    const report = await until(() => sentinel.results.find(({ runId }) => runId === runIdOf("one")), "a result");
    const heard = sentinel.heartbeats.length;
    const beat = await until(() => sentinel.heartbeats.slice(heard).find(({ running }) => running === null), "a beat");
    const looped = await until(
      () => (idempotent ? sentinel.heartbeats.find(({ crashLoop }) => crashLoop) : beat),
      "a heartbeat with the crash loop",
    );
    return { report, beat, looped };
  }

  it("says that it was killed for memory, which systemd calls a signal", async () => {
    const { report, beat } = await played("once", false);
    assert.deepEqual([report.state, report.exit, report.attempts, report.oomKills], ["interrupted", "SIGKILL", 1, 1]);
    assert.equal(report.reason, "the agent was ended by SIGKILL (signal); out of memory, 1 kill");
    assert.equal(beat.memory?.oomKill, 1);
    assert.ok(beat.memoryPressurePercent !== undefined, "PSI of the slice");
    assert.equal(beat.crashLoop, false);
  });

  it("says that a crash loop ended in the start limit, which systemd calls a signal too", async () => {
    const { report, beat, looped } = await played("again", true);
    // Those of the run before are not its own.
    assert.deepEqual([report.state, report.exit, report.attempts, report.oomKills], ["failed", "SIGKILL", 2, 2]);
    assert.equal(report.reason, "a crash loop, ended by the start limit (signal); out of memory, 2 kills");
    assert.equal(beat.memory?.oomKill, 3);
    assert.deepEqual([looped.crashLoop, looped.ready], [true, false]);
  });
});
