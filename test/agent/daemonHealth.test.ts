// The arbiter daemon's word of its own health: without a host side, with one of another key, and on both routes.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connectToArbiter } from "../../runtime-agent/src/keeper/link/hostLink.ts";
import { realClock } from "../../runtime-agent/src/shared/clock.ts";
import { ArbiterSite } from "../support/arbiterDaemon.ts";
import type { AgentProgram } from "../support/arbiterDaemon.ts";
import { programOrSkip } from "../support/arbiterScene.ts";
import { freePort } from "../../lab/host/freePort.ts";

describe("arbiter daemon: health", () => {
  let program: AgentProgram;
  let site: ArbiterSite;

  before(async function () {
    program = await programOrSkip(this);
    site = await ArbiterSite.open(program);
  });
  after(async () => {
    await site?.close();
    await program?.remove();
  });

  it("is well without a card and a host side, and with a host side of another key, which it tells", async () => {
    const pskFile = join(site.folder, "link.psk");
    await writeFile(pskFile, randomBytes(32).toString("hex"), { mode: 0o600 });
    const port = await freePort();
    await site.configure({ services: [], link: { listen: `127.0.0.1:${String(port)}`, pskFile } });
    const daemon = await site.start();
    const alone = await daemon.until(({ healthy }) => healthy, "it is well alone");
    assert.deepEqual([alone.unhealthy, alone.link], [[], { listening: true, fault: null }]);
    const stranger = connectToArbiter({
      ...{ connect: { host: "127.0.0.1", port }, key: randomBytes(32), clock: realClock() },
    });
    try {
      const told = await daemon.until(({ link }) => link?.fault?.includes("another key") === true, "it is told");
      assert.equal(told.healthy, true);
      const { status, text } = await daemon.call("GET", "/health");
      assert.equal(status, 200);
      assert.match(text, /^\{"healthy":true,"unhealthy":\[\],"loopAgeMs":\d+\}\n$/);
      assert.match(daemon.log, /"the host side is refused"/);
    } finally {
      stranger.close();
    }
    assert.equal(await daemon.stop(), 0);
  });
});
