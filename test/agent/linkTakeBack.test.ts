// The word with which the host side gives a release back, over the real link, and the two versions that do not know it.
import assert from "node:assert/strict";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import type { ArbiterLink, HandoffRequest } from "../../runtime-agent/src/keeper/link/arbiterLink.ts";
import { listenForHost } from "../../runtime-agent/src/keeper/link/arbiterLink.ts";
import { connectToArbiter, type HostLink } from "../../runtime-agent/src/keeper/link/hostLink.ts";
import { encodeFrame } from "../../runtime-agent/src/keeper/link/protocol.ts";
import { clientTls, serverTls } from "../../runtime-agent/src/keeper/link/psk.ts";
import { realClock } from "../../runtime-agent/src/shared/clock.ts";
import { linkProxy, type LinkProxy } from "./linkProxy.ts";

const key = Buffer.from("0123456789abcdef".repeat(4), "hex");

async function until(holds: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + 30_000; !holds();) {
    if (performance.now() > end) assert.fail(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe("link: a release that is given back", () => {
  let arbiter: ArbiterLink;
  let proxy: LinkProxy;
  const hosts: HostLink[] = [];
  let requests: HandoffRequest[];
  let takeBacks: string[];

  beforeEach(async () => {
    requests = [];
    takeBacks = [];
    arbiter = await listenForHost({
      ...{ listen: { host: "127.0.0.1", port: 0 }, key, clock: realClock() },
      onHandoffRequest: (request) => requests.push(request),
      onTakeBack: (id) => takeBacks.push(id),
    });
    proxy = await linkProxy(arbiter.port);
  });
  afterEach(async () => {
    for (const host of hosts.splice(0)) host.close();
    await proxy.close();
    await arbiter.close();
  });
  /** A host side that keeps on saying that the market is closed. */
  function start(port: number): HostLink {
    const host = connectToArbiter({
      ...{ connect: { host: "127.0.0.1", port }, key, clock: realClock() },
      ...{ periodMs: 50, backOffMs: [5, 40] },
    });
    hosts.push(host);
    host.setConstraint({ marketOpen: false, handoff: false });
    return host;
  }

  it("takes a release back: nothing that was answered to it counts any more, until it is asked for anew", async () => {
    const host = start(proxy.port);
    await until(() => host.requestHandoff("plan-1", 100) === true, "a connection");
    await until(() => requests.length === 1, "the request");
    arbiter.released("plan-1", 42, 60_000);
    await until(() => host.handoff() !== undefined, "the release");
    host.takeBack("plan-1");
    assert.equal(host.handoff(), undefined);
    // As one that was on its way.
    arbiter.released("plan-1", 42, 60_000);
    await until(() => takeBacks.length === 1, "the word");
    assert.deepEqual([takeBacks, host.takenBack()], [["plan-1"], []]);
    proxy.refuse = true;
    proxy.cut();
    await until(() => !arbiter.connected, "a cut");
    assert.equal(arbiter.takenBack("plan-1"), false);
    proxy.refuse = false;
    await until(() => arbiter.connected, "a new connection");
    await until(() => (host.takeBack("plan-1"), takeBacks.length > 1), "the word once more");
    arbiter.takenBack("plan-1");
    await until(() => host.takenBack().includes("plan-1") === true, "its confirmation");
    assert.equal(host.handoff(), undefined);
    host.requestHandoff("plan-1", 100);
    assert.deepEqual([host.takenBack(), host.handoff()], [[], undefined]);
  });

  it("speaks the words of before with a side of before, and says no new one to it", async () => {
    const { ALPNProtocols: _words, ...before } = clientTls(key);
    const old = connectTls({ host: "127.0.0.1", port: arbiter.port, ...before });
    const greeted = new Promise<string>((resolve) => old.once("data", (chunk: Buffer) => resolve(chunk.toString())));
    const nonce = /"nonce":"([0-9a-f]{32})"/.exec(await greeted)?.[1] ?? "";
    const constraint = { sequence: 1, nonce, marketOpen: false, handoff: false, validMs: 10_000 };
    old.write(encodeFrame({ type: "constraint", ...constraint }));
    await until(() => arbiter.constraint() !== undefined, "an old host side's constraint");
    old.destroy();

    const { ALPNProtocols: _theirs, ...serves } = serverTls(key);
    const heard: string[] = [];
    const server = createTlsServer(serves, (socket) => {
      socket.on("error", () => undefined);
      socket.on("data", (chunk: Buffer) => heard.push(...chunk.toString().split("\n").filter(Boolean)));
      socket.write(encodeFrame({ type: "ack", nonce: "0".repeat(32), accepted: true }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    const linked = start(address.port);
    try {
      await until(() => linked.requestHandoff("plan-1", 100), "a connection to an old arbiter");
      linked.takeBack("plan-1");
      linked.requestHandoff("plan-2", 100);
      await until(() => heard.some((line) => line.includes("plan-2")), "what is said to it");
      assert.deepEqual(
        heard.filter((line) => line.includes("takeBack")),
        [],
      );
    } finally {
      linked.close();
      server.close();
    }
  });
});
