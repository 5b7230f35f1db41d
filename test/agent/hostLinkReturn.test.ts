import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { linkBackOffMs } from "../../runtime-agent/src/keeper/host/daemon.ts";
import { connectToArbiter } from "../../runtime-agent/src/keeper/link/hostLink.ts";
import { realClock } from "../../runtime-agent/src/shared/clock.ts";

describe("Keeper, host side: the link to an arbiter that was away", () => {
  it("knocks each second however long nobody answered, so that a VM that is back is heard well within 5 s", async () => {
    const knocks: number[] = [];
    const server = createServer((socket) => {
      knocks.push(performance.now());
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const link = connectToArbiter({
      connect: { host: "127.0.0.1", port },
      key: randomBytes(32),
      clock: realClock(),
      backOffMs: linkBackOffMs,
      random: () => 1,
    });
    // 200, 400, 800, then 1000 ms each: were the wait not bound there, the sixth would come after 6.2 s.
    for (let look = 0; look < 600 && knocks.length < 6; look += 1) await sleep(20);
    link.close();
    server.close();
    const waits = knocks.slice(1).map((at, index) => at - (knocks[index] ?? 0));
    assert.equal(waits.length, 5);
    assert.ok(Math.max(...waits) < 1500, waits.map(Math.round).join());
  });
});
