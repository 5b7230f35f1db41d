// A person asks for a service that does not run: the Keeper starts it (seed 000 step 3), and only then says that it holds.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ArbiterSite } from "../support/arbiterDaemon.ts";
import type { AgentProgram, Daemon } from "../support/arbiterDaemon.ts";
import { night, openScene, programOrSkip } from "../support/arbiterScene.ts";
import type { Scene } from "../support/arbiterScene.ts";
import type { Cgroup } from "../../runtime-agent/src/keeper/processes/cgroup/cgroup.ts";

describe("arbiter daemon: a service that it starts on request", () => {
  let program: AgentProgram;
  let scene: Scene;
  let site: ArbiterSite;
  let llama: Cgroup;

  before(async function () {
    program = await programOrSkip(this);
  });
  after(() => program?.remove());
  beforeEach(async () => {
    scene = await openScene(1);
    llama = scene.groups.group("llama");
    site = await ArbiterSite.open(program);
  });
  afterEach(async () => {
    await site.close();
    await scene.close();
  });

  /** EVA's model and The Muse, which runs when this returns. */
  async function start(command: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Daemon> {
    const place = (name: string) => ({
      vram: "8 GB",
      cgroup: `/${scene.groups.path}/${name}`,
      rungs: ["freeze", "term"],
    });
    await site.configure({
      services: [
        { name: "llama", rank: 2, kind: "interactive", leaseSec: 2, ...place("llama"), start: command },
        { name: "muse", rank: 4, kind: "batch", ...place("muse") },
      ],
      gpu: { library: "libnone.so.1" },
      muse: { loadBelow: 1000, loadAbove: 1024, holdSec: 0 },
    });
    const daemon = await site.start({ env: { HIVE_LAB_CLOCK: night, ...env } });
    await daemon.until((now) => now.holder?.service === "muse", "the batch runs");
    return daemon;
  }

  it("freezes the batch, starts it, and grants; one that runs already is not started again", async () => {
    const started = join(site.folder, "started");
    const daemon = await start(["/bin/sh", "-c", `echo x >>${started}; exec sleep 600`]);
    assert.deepEqual(llama.pids(), []);
    const lease = await daemon.ask("llama");
    assert.deepEqual([lease.status, lease.state], [200, "held"]);
    assert.ok(scene.frozen(), "the batch was frozen before");
    const [pid] = llama.pids();
    assert.ok(pid !== undefined, "its process is there when its client is told");
    const { text } = await daemon.call("GET", "/decisions?since=0");
    const whats = [...text.matchAll(/"what":"(lower|start|grant)","service":"(\w+)"/g)].map(
      ([, what, name]) => `${what} ${name}`,
    );
    assert.deepEqual(whats.slice(-3), ["lower muse", "start llama", "grant llama"]);
    await daemon.release(lease.lease);
    await daemon.until((now) => now.holder?.service === "muse", "the batch goes on");
    assert.equal((await daemon.ask("llama")).state, "held");
    assert.deepEqual(llama.pids(), [pid]);
    assert.equal(await readFile(started, "utf8"), "x\n");
    // Gone while it holds: the lease ends, and the next request starts another.
    process.kill(pid, "SIGKILL");
    await daemon.until((now) => now.holder?.service === "muse", "its end is seen");
    assert.equal((await daemon.ask("llama")).state, "held");
    // A process is there before its shell has written its first line.
    const written = (): Promise<string> => readFile(started, "utf8");
    for (let look = 0; look < 200 && (await written()) === "x\n"; look += 1) await sleep(10);
    assert.equal(await written(), "x\nx\n");
    assert.equal(await daemon.stop(), 0);
    assert.equal(llama.pids().length, 1, "it lives on without the Keeper");
  });

  it("refuses with the reason when it cannot be started, and the batch goes on", async () => {
    const daemon = await start([join(site.folder, "llama-3")]);
    const lease = await daemon.ask("llama", { id: "first-try" });
    assert.deepEqual([lease.status, lease.state], [409, "refused"]);
    assert.match(lease.error, /^did not start: .*llama/);
    await daemon.until((now) => now.holder?.service === "muse", "the batch goes on");
    assert.equal(scene.frozen(), false);
    // Mended, the same request is granted.
    await writeFile(join(site.folder, "llama-3"), "#!/bin/sh\nexec sleep 600\n", { mode: 0o755 });
    assert.equal((await daemon.ask("llama", { id: "first-try" })).state, "held");
  });

  it("starts it once when it is killed on the way, and grants to the client that asks again", async () => {
    const started = join(site.folder, "started");
    const command = ["/bin/sh", "-c", `echo x >>${started}; exec sleep 600`];
    // Its own is the third action that ends: after the start of the batch and its freeze.
    const first = await start(command, { HIVE_FAILPOINTS: "executor.after=kill:3" });
    await first.ask("llama", { id: "asked-once" }).catch(() => undefined);
    assert.equal(await first.ended, "SIGKILL");
    const second = await site.start({ env: { HIVE_LAB_CLOCK: night } });
    assert.equal((await second.ask("llama", { id: "asked-once" })).state, "held");
    assert.equal(llama.pids().length, 1);
    assert.equal(await readFile(started, "utf8"), "x\n");
    assert.ok(scene.frozen());
  });
});
