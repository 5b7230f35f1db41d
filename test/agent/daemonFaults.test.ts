// The arbiter when things go wrong: killed, without a driver, without a disk, with a card that is too hot.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { keeperFaultKinds, runKeeperFaults } from "../campaign/keeper/index.ts";
import { testSeed } from "../run/seed.ts";
import { skip } from "../run/skip.ts";
import { ArbiterSite } from "../support/arbiterDaemon.ts";
import type { AgentProgram, Daemon } from "../support/arbiterDaemon.ts";
import { configureScene, night, openScene, programOrSkip } from "../support/arbiterScene.ts";
import type { Scene, SceneSettings } from "../support/arbiterScene.ts";
import { brokenChains } from "../support/burner.ts";
import { fakeCard } from "../support/fakeGpu.ts";
import type { FakeCard } from "../support/fakeGpu.ts";

describe("arbiter daemon: faults", () => {
  let program: AgentProgram;
  let card: FakeCard;
  let scene: Scene;
  let site: ArbiterSite;
  const env = { HIVE_LAB_CLOCK: night };

  before(async function () {
    card = await fakeCard(this);
    program = await programOrSkip(this);
  });
  after(async () => {
    await card?.remove();
    await program?.remove();
  });
  beforeEach(async () => {
    await card.gpu.reset();
    scene = await openScene();
    site = await ArbiterSite.open(program);
  });
  afterEach(async () => {
    spawnSync("umount", ["-l", join(site.folder, "state")], { stdio: "ignore" });
    await site.close().finally(() => scene.close());
  });

  async function start(settings: SceneSettings = {}): Promise<Daemon> {
    await configureScene(site, scene, { library: card.nvml, ...settings });
    const daemon = await site.start({ env });
    await daemon.until((now) => now.holder?.service === "muse", "the batch runs");
    return daemon;
  }

  it("is killed with the batch frozen: the next one knows the grant, and lets the batch go on", async () => {
    const killed = await start();
    const lease = await killed.ask("eva");
    assert.equal(await killed.stop("SIGKILL"), "SIGKILL");
    assert.ok(scene.frozen(), "nobody thawed it");
    const next = await site.start({ env });
    assert.ok(scene.frozen(), "it rests for the grant that lives on");
    assert.equal((await next.renew(lease.lease)).token, lease.token);
    await next.release(lease.lease);
    await next.until((now) => now.holder?.service === "muse", "the batch goes on");
    assert.equal(scene.frozen(), false);
    const { token } = await next.ask("eva");
    assert.ok(token > lease.token);
    assert.deepEqual(brokenChains(scene.burner.progress()), []);
  });

  it("is killed between the freeze and its record: the next one sets the batch free", async () => {
    await configureScene(site, scene, { library: card.nvml });
    // The first passage is the start of the batch.
    const killed = await site.start({ env: { ...env, HIVE_FAILPOINTS: "executor.after=kill:3" } });
    await killed.until((now) => now.holder?.service === "muse", "the batch runs");
    await killed.ask("eva", { waitSec: 5 }).catch(() => undefined);
    if (!killed.over) await killed.stop("SIGKILL");
    const next = await site.start({ env });
    const { holder } = await next.until((now) => now.holder !== null, "it has settled");
    assert.equal(holder?.service, "muse", "what was not recorded has not happened");
    assert.equal(scene.frozen(), false);
  });

  it("takes a driver that hangs for an unknown card: grants nothing, answers at once, goes on when it is back", async () => {
    const daemon = await start();
    await card.gpu.set({ hang: ["all"] });
    await daemon.until(({ gpu }) => gpu.kind === "unknown", "the card is unknown");
    const refused = await daemon.ask("eva", { id: "eva-hung-1", waitSec: 0.3 });
    assert.equal(refused.state, "waiting");
    assert.ok(scene.frozen(), "rank 4 rests while nobody knows the card's heat");
    await card.gpu.set({ hang: [] });
    const lease = await daemon.ask("eva", { id: "eva-hung-1" });
    assert.equal(lease.state, "held");
    await daemon.release(lease.lease);
    await daemon.until((now) => now.holder?.service === "muse", "the batch goes on");
    assert.equal(scene.frozen(), false);
  });

  it("grants nothing while it cannot write, keeps who holds, and goes on when there is room again", async function () {
    const state = join(site.folder, "state");
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m,mode=0700", "none", state]);
    if (mounted.status !== 0) skip(this, "no small disk can be mounted");
    const daemon = await start();
    const lease = await daemon.ask("eva");
    const filler = join(state, "filler");
    await writeFile(filler, Buffer.alloc(2 * 1024 * 1024)).catch(() => undefined);
    // What still fits into the last page of the journal is still written.
    for (let call = 0; call < 20 && (await daemon.status()).journalFault === null; call += 1) {
      await daemon.ask("eva", { id: `eva-fills-${String(call)}`, waitSec: 0.05 });
      await daemon.release(`eva-fills-${String(call)}`);
    }
    assert.notEqual((await daemon.status()).journalFault, null, "the journal cannot be written");
    const more = daemon.ask("eva", { id: "eva-second" });
    more.catch(() => undefined);
    assert.equal((await daemon.renew(lease.lease)).state, "held");
    assert.equal((await daemon.call("GET", "/health")).status, 503);
    assert.match((await daemon.status()).unhealthy.join(), /^the journal cannot be written: /);
    await daemon.release(lease.lease);
    await sleep(300);
    assert.equal((await daemon.status()).holder?.lease, lease.lease, "what is not written has not happened");
    await rm(filler);
    assert.ok((await more).token > lease.token);
    assert.match(daemon.log, /can be written again/);
  });

  it("kills the batch above 80 °C after two samples, and gives the card its own limits back when it leaves", async () => {
    const daemon = await start({ arbiter: { power: { idleSec: 0 } } });
    await card.gpu.set({ temperatureC: 74 });
    await daemon.until(({ power }) => power === "capped", "power is capped");
    await daemon
      .until(() => true, "")
      .then(async () => {
        for (let look = 0; look < 200 && (await card.gpu.limits()).powerLimitWatts === undefined; look += 1)
          await sleep(20);
      });
    assert.equal((await card.gpu.limits()).powerLimitWatts, 210);
    await card.gpu.set({ temperatureC: 85 });
    await daemon.until(({ services }) => services.every(({ phase }) => phase === "idle"), "the batch is killed");
    assert.equal(scene.groups.group("muse").pids().length, 0);
    assert.equal(await daemon.stop(), 0);
    assert.equal((await card.gpu.limits()).powerLimitWatts, 350);
  });

  it("restores limits that a killed one left behind", async () => {
    const daemon = await start();
    await card.gpu.set({ temperatureC: 74 });
    for (let look = 0; look < 300 && (await card.gpu.limits()).powerLimitWatts !== 210; look += 1) await sleep(20);
    assert.equal((await card.gpu.limits()).powerLimitWatts, 210);
    await daemon.stop("SIGKILL");
    await card.gpu.set({ temperatureC: 40 });
    const next = await site.start({ env });
    for (let look = 0; look < 300 && (await card.gpu.limits()).powerLimitWatts !== 350; look += 1) await sleep(20);
    assert.equal((await card.gpu.limits()).powerLimitWatts, 350);
    await next.until((now) => now.holder?.service === "muse", "the batch goes on");
  });

  it("keeps leases through jumps of the clock, which move the calendar alone", async () => {
    const clock = join(site.folder, "clock");
    const jump = (iso: string): Promise<void> => writeFile(clock, String(Date.parse(iso) - Date.now()));
    await jump("2026-11-21T06:30:00+01:00");
    await configureScene(site, scene, { library: card.nvml });
    const daemon = await site.start({ env: { HIVE_LAB_CLOCK: clock } });
    await daemon.until((now) => now.holder?.service === "muse", "the batch runs");
    await jump("2026-11-21T07:30:00+01:00");
    await daemon.until(({ museNight, holder }) => !museNight && holder === null, "its night is over");
    await daemon.until(() => scene.frozen(), "the batch rests");
    const lease = await daemon.ask("eva");
    await jump("2026-11-21T05:30:00+01:00");
    const { text } = await daemon.call("PUT", `/v1/leases/${lease.lease}`);
    assert.match(text, /"state":"held".*"remainingMs":(29|30)\d\d\d\b/);
    await daemon.release(lease.lease);
    await daemon.until((now) => now.holder?.service === "muse", "the batch goes on");
  });

  it("holds against a slice of the fault campaign: each kind once", async () => {
    const seed = testSeed();
    const told: string[] = [];
    const { figures, ok } = await runKeeperFaults(
      { count: keeperFaultKinds, seed, tell: (line) => told.push(line) },
      60_000,
    );
    assert.ok(ok, `seed ${String(seed)}: ${JSON.stringify(figures)}\n${told.join("\n")}`);
  });
});
