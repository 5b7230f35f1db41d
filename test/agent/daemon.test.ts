// The arbiter as a process, with real processes in cgroups: preemption, leases, its API, its configuration, its end.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { callLocalApi } from "../../runtime-agent/src/shared/localApi/client.ts";
import { ArbiterSite } from "../support/arbiterDaemon.ts";
import type { AgentProgram, Daemon } from "../support/arbiterDaemon.ts";
import { configureScene, night, openScene, programOrSkip } from "../support/arbiterScene.ts";
import type { Scene, SceneSettings } from "../support/arbiterScene.ts";
import { brokenChains } from "../support/burner.ts";

describe("arbiter daemon", () => {
  let program: AgentProgram;
  let scene: Scene;
  let site: ArbiterSite;

  before(async function () {
    program = await programOrSkip(this);
  });
  after(() => program?.remove());
  beforeEach(async () => {
    scene = await openScene();
    site = await ArbiterSite.open(program);
  });
  afterEach(async () => {
    await site.close();
    await scene.close();
  });

  async function start(settings: SceneSettings = {}, env: NodeJS.ProcessEnv = {}): Promise<Daemon> {
    await configureScene(site, scene, settings);
    const daemon = await site.start({ env: { HIVE_LAB_CLOCK: night, ...env } });
    await daemon.until((now) => now.holder?.service === "muse", "the batch runs");
    return daemon;
  }

  it("gives a human the GPU at once and the batch its work back, with nothing lost", async () => {
    const daemon = await start();
    const batchToken = (await daemon.status()).token;
    for (let round = 0; round < 3; round += 1) {
      const lease = await daemon.ask("eva");
      assert.deepEqual([lease.status, lease.state], [200, "held"]);
      assert.ok(lease.token > batchToken);
      assert.ok(scene.frozen(), "the batch was frozen before the grant");
      const stood = scene.burner.progress();
      const status = await daemon.status();
      assert.equal(status.holder?.service, "eva");
      assert.deepEqual(status.services.find(({ name }) => name === "muse")?.lowered, ["freeze"]);
      assert.deepEqual(scene.burner.progress(), stood, "nothing works while it is frozen");
      await daemon.release(lease.lease);
      await daemon.until((now) => now.holder?.service === "muse", "the batch goes on");
      assert.equal(scene.frozen(), false);
      await scene.burner.awaitProgress(stood, 1, 10_000);
    }
    assert.deepEqual(brokenChains(scene.burner.progress()), []);
    const { text } = await daemon.call("GET", "/decisions?since=0");
    const whats = new Set([...text.matchAll(/"what":"([\w-]+)"/g)].map(([, what]) => what));
    for (const what of ["start", "request", "lower", "grant", "release", "raise"]) assert.ok(whats.has(what), what);
  });

  it("ends the lease of a client that says no more, and keeps that of one that renews", async () => {
    const daemon = await start({ evaLeaseSec: 1 });
    const kept = await daemon.ask("eva");
    for (let round = 0; round < 5; round += 1) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.equal((await daemon.renew(kept.lease)).state, "held");
    }
    await daemon.until((now) => now.holder?.service === "muse", "the lease has run out");
    const late = await daemon.renew(kept.lease);
    assert.equal(late.status, 410);
    assert.match(late.error, /not renewed in time/);
    assert.equal(scene.frozen(), false);
  });

  it("keeps nothing for a client that hung up while it waited, and gives the same grant to one that asks again", async () => {
    const daemon = await start();
    const first = await daemon.ask("eva", { id: "eva-first-1" });
    assert.equal(first.state, "held");
    assert.equal((await daemon.ask("eva", { id: "eva-first-1" })).token, first.token);
    const second = await daemon.ask("eva", { id: "eva-second", waitSec: 0.05 });
    assert.deepEqual([second.status, second.state], [202, "waiting"]);
    await daemon.release("eva-second");
    await assert.rejects(
      daemon.call("POST", "/v1/leases", { body: { service: "eva", id: "eva-third-3" }, timeoutMs: 100 }),
    );
    await daemon.until(({ queue }) => queue.length === 0, "nobody waits any more");
    await daemon.release(first.lease);
    await daemon.until((now) => now.holder?.service === "muse", "the batch goes on");
  });

  it("refuses a second agent on the same state", async () => {
    const daemon = await start();
    const second = await site.start({ answers: false });
    assert.equal(await second.ended, 75);
    assert.match(second.log, /another agent runs/);
    assert.equal((await daemon.status()).holder?.service, "muse");
  });

  it("leaves nothing frozen when it is told to stop, and holds it again when it is back", async () => {
    const daemon = await start();
    const lease = await daemon.ask("eva");
    const stood = scene.burner.progress();
    assert.equal(await daemon.stop(), 0);
    assert.equal(scene.frozen(), false);
    await scene.burner.awaitProgress(stood, 1, 10_000);
    const again = await site.start({ env: { HIVE_LAB_CLOCK: night } });
    assert.ok(scene.frozen());
    const renewed = await again.renew(lease.lease);
    assert.deepEqual([renewed.state, renewed.token], ["held", lease.token]);
  });

  it("refuses a wrong configuration with every fault and keeps the running one, and takes a right one over", async () => {
    const daemon = await start();
    const lease = await daemon.ask("eva");
    await configureScene(site, scene, { arbiter: { thermal: { capC: 90 }, gpux: 1 } });
    daemon.signal("SIGHUP");
    await daemon.until(() => daemon.log.includes("is refused"), "the log says so");
    assert.match(daemon.log, /arbiter\.thermal.*gpux|gpux.*arbiter\.thermal/);
    assert.equal((await daemon.renew(lease.lease)).state, "held");
    await configureScene(site, scene, { evaLeaseSec: 500 });
    daemon.signal("SIGHUP");
    await daemon.until(() => daemon.log.includes("is in force"), "the log says so");
    const { text } = await daemon.call("PUT", `/v1/leases/${lease.lease}`);
    assert.ok(Number(/"remainingMs":(\d+)/.exec(text)?.[1]) > 400_000, text);
    assert.ok(scene.frozen());
  });

  it("lets requests wait on when a new configuration brings other tokens", async () => {
    const file = join(site.folder, "eva.token");
    await writeFile(file, `${"e".repeat(40)}\n`, { mode: 0o600 });
    const daemon = await start({ evaTokenFile: file });
    const first = await daemon.ask("eva", { token: "e".repeat(40) });
    const second = daemon.ask("eva", { token: "e".repeat(40), waitSec: 15 });
    second.catch(() => undefined);
    await daemon.until(({ queue }) => queue.length === 1, "the second one waits");
    await writeFile(file, `${"f".repeat(40)}\n`, { mode: 0o600 });
    daemon.signal("SIGHUP");
    await daemon.until(() => daemon.log.includes("is in force"), "the log says so");
    const { status } = await daemon.call("DELETE", `/v1/leases/${first.lease}`, { token: "f".repeat(40) });
    assert.equal(status, 200);
    assert.equal((await second).state, "held");
  });

  it("sets free what somebody else froze", async () => {
    const daemon = await start();
    await scene.groups.group("muse").freeze(5_000);
    assert.ok(scene.frozen());
    await daemon.until(() => !scene.frozen(), "the batch goes on");
    await daemon.until(() => daemon.log.includes("set free: nothing says that it should rest"), "the log says so");
  });

  it("sets a frozen service free that a new configuration no longer names", async () => {
    const daemon = await start();
    await daemon.ask("eva");
    assert.ok(scene.frozen());
    const eva = { name: "eva", rank: 2, kind: "interactive", vram: "8 GB", cgroup: `/${scene.groups.path}/eva` };
    await configureScene(site, scene, { arbiter: { services: [eva] } });
    daemon.signal("SIGHUP");
    await daemon.until(() => !scene.frozen(), "the batch is free");
    assert.equal((await daemon.status()).holder?.service, "eva");
  });

  it("sets it free at the next start when it is killed before it could", async () => {
    // The first passage is the start of the batch, the second its freeze, the third the raise that the reload asks for.
    const daemon = await start({}, { HIVE_FAILPOINTS: "executor.before=kill:3" });
    await daemon.ask("eva");
    const eva = { name: "eva", rank: 2, kind: "interactive", vram: "8 GB", cgroup: `/${scene.groups.path}/eva` };
    await configureScene(site, scene, { arbiter: { services: [eva] } });
    daemon.signal("SIGHUP");
    assert.equal(await daemon.ended, "SIGKILL");
    assert.ok(scene.frozen(), "nobody thawed it");
    await site.start({ env: { HIVE_LAB_CLOCK: night } });
    assert.equal(scene.frozen(), false);
  });

  it("lets a service do with its own leases only, and tells what is wrong with a call", async () => {
    const file = join(site.folder, "eva.token");
    const token = "e".repeat(40);
    await writeFile(file, `${token}\n`, { mode: 0o600 });
    const daemon = await start({ evaTokenFile: file });
    const own = await daemon.ask("eva", { token });
    assert.equal(own.state, "held");
    assert.equal((await daemon.ask("muse", { token })).status, 403);
    assert.equal((await daemon.call("GET", "/status", { token })).status, 403);
    assert.equal((await daemon.call("GET", "/status", { token: "x".repeat(40) })).status, 401);
    assert.equal((await daemon.ask("muse")).status, 409);
    for (const body of [{ service: "nobody" }, { service: "eva", id: "short" }, { servic: "eva" }, [], 7, "x"]) {
      const { status, text } = await daemon.call("POST", "/v1/leases?wait=1", { body });
      assert.ok(status >= 400 && status < 500, `${JSON.stringify(body)}: ${String(status)} ${text}`);
    }
    assert.equal((await daemon.call("POST", "/v1/leases?wait=x", { body: { service: "eva" } })).status, 400);
    assert.equal((await daemon.look("no-such-lease")).status, 404);
    const socket = join(site.folder, "run", "api.sock");
    assert.equal((await callLocalApi({ socket, token: "", path: "/status" })).status, 401);
    const metrics = await daemon.call("GET", "/metrics");
    assert.match(metrics.text, /hive_keeper_service_running\{service="eva",rank="2",side="arbiter"\} 1/);
  });
});
