// The arbiter daemon and a host side's link: the market by the host's word, and the card released for a handoff.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connectToArbiter } from "../../runtime-agent/src/keeper/link/hostLink.ts";
import type { HostLink } from "../../runtime-agent/src/keeper/link/hostLink.ts";
import { realClock } from "../../runtime-agent/src/shared/clock.ts";
import { ArbiterSite } from "../support/arbiterDaemon.ts";
import type { AgentProgram } from "../support/arbiterDaemon.ts";
import { configureScene, night, openScene, programOrSkip } from "../support/arbiterScene.ts";
import type { Scene } from "../support/arbiterScene.ts";
import { freePort } from "../../lab/host/freePort.ts";

/** As the host side's loop does: said again until it is confirmed. */
async function takeBack(link: HostLink, id: string): Promise<void> {
  for (const end = performance.now() + 30_000; !link.takenBack().includes(id); await sleep(50)) {
    assert.ok(performance.now() < end, `${id} is never confirmed`);
    link.takeBack(id);
  }
}

describe("arbiter daemon: link", () => {
  let program: AgentProgram;
  let scene: Scene;
  let site: ArbiterSite;
  let link: HostLink | undefined;

  before(async function () {
    program = await programOrSkip(this);
    scene = await openScene();
    site = await ArbiterSite.open(program);
  });
  after(async () => {
    link?.close();
    await site?.close().finally(() => scene.close());
    await program?.remove();
  });

  it("takes the market as open until the host speaks, obeys its word, and keeps its promise across a kill", async () => {
    const pskFile = join(site.folder, "link.psk");
    const key = randomBytes(32);
    await writeFile(pskFile, key.toString("hex"), { mode: 0o600 });
    const port = await freePort();
    await configureScene(site, scene, { arbiter: { link: { listen: `127.0.0.1:${String(port)}`, pskFile } } });
    const env = { HIVE_LAB_CLOCK: night };
    const daemon = await site.start({ env });
    const alone = await daemon.status();
    assert.deepEqual([alone.marketOpen, alone.holder, alone.constraint], [true, null, null]);
    link = connectToArbiter({
      connect: { host: "127.0.0.1", port },
      key,
      clock: realClock(),
      periodMs: 100,
      validMs: 2_000,
    });
    link.setConstraint({ marketOpen: false, handoff: false, roomC: 24.5 });
    await daemon.until(({ holder }) => holder?.service === "muse", "the batch runs");
    assert.equal((await daemon.status()).constraint?.roomC, 24.5);
    link.setConstraint({ marketOpen: true, handoff: false });
    await daemon.until(() => scene.frozen(), "the market opens, and the batch rests");

    link.setConstraint({ marketOpen: false, handoff: true });
    link.requestHandoff("handoff-1", 100);
    let answer = link.handoff();
    for (let look = 0; look < 1000 && answer === undefined; look += 1) {
      await sleep(10);
      answer = link.handoff();
    }
    assert.ok(answer !== undefined && "token" in answer, JSON.stringify(answer));
    assert.equal((await daemon.ask("eva", { waitSec: 0.1 })).state, "waiting");
    await daemon.stop("SIGKILL");
    const next = await site.start({ env });
    link.setConstraint({ marketOpen: false, handoff: false });
    await next.until(({ constraint }) => constraint !== null, "the link is back");
    assert.equal((await next.ask("eva", { waitSec: 0.5 })).state, "waiting", "the promise holds");
    await takeBack(link, "handoff-0");
    assert.equal((await next.ask("eva", { waitSec: 0.5 })).state, "waiting", "another handoff's word does not end it");
    await takeBack(link, "handoff-1");
    await next.until(({ holder }) => holder?.service === "eva", "EVA holds the card");
    assert.equal(link.handoff(), undefined);
    await next.stop("SIGKILL");
    const last = await site.start({ env });
    await last.until(({ constraint }) => constraint !== null, "the link is back again");
    assert.equal((await last.status()).constraint?.handoff, false, "the end of the promise was written down");
  });
});
