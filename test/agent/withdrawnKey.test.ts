/** A key that was changed or withdrawn opens nothing any more, whenever in a connection's life that was. */
import assert from "node:assert/strict";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import type { Agent } from "node:https";
import { connect as connectTls } from "node:tls";
import { listenPsk, type BoundedListener } from "../../runtime-agent/src/shared/boundedHttp.ts";
import { pskCall, pskClient } from "../../runtime-agent/src/shared/pskTls.ts";

const identity = "agent:ghost";
const [older, newer] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
/** What comes from here on is the client's proof of the key (RFC 5246, 7.1 and 7.4.9). */
const changeCipherSpec = 20;

interface Holder {
  readonly port: number;
  /** Passes on what it held, and whatever comes after. */
  release(): void;
  close(): void;
}

/** Stands before a listener and holds back the end of the client's handshake. */
async function holdFinished(port: number): Promise<Holder> {
  const sockets = new Set<Socket>();
  let waiting = Buffer.alloc(0);
  let [held, released] = [false, false];
  let pass = (): void => undefined;
  const server = createServer((client) => {
    const onward = connect(port, "127.0.0.1");
    for (const [one, other] of [
      [client, onward],
      [onward, client],
    ] as const) {
      sockets.add(one);
      one.on("error", () => undefined).on("close", () => other.destroy());
    }
    onward.pipe(client);
    pass = () => {
      while (waiting.length >= 5 && !released) {
        held ||= waiting[0] === changeCipherSpec;
        const end = 5 + waiting.readUInt16BE(3);
        if (held || waiting.length < end) return;
        onward.write(waiting.subarray(0, end));
        waiting = waiting.subarray(end);
      }
      if (released) onward.write(waiting);
      if (released) waiting = Buffer.alloc(0);
    };
    client.on("data", (chunk: Buffer) => {
      waiting = Buffer.concat([waiting, chunk]);
      pass();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    release() {
      released = true;
      pass();
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

describe("a key that is withdrawn", () => {
  let key: Buffer | undefined;
  let asked: PromiseWithResolvers<void>;
  let asking: Set<string>;
  let served: (string | undefined)[];
  let onServe: () => void;
  let listener: BoundedListener;
  let agent: Agent;

  beforeEach(async () => {
    key = older;
    asked = Promise.withResolvers();
    served = [];
    asking = new Set();
    onServe = () => undefined;
    agent = pskClient({ identity, key: older });
    listener = await listenPsk({
      listen: { host: "127.0.0.1", port: 0 },
      mostBodyBytes: 1024,
      keyOf(of) {
        asking.add(of);
        asked.resolve();
        if (of === "agent:other") return newer;
        return of === identity ? key : undefined;
      },
      handle(request) {
        served.push(request.identity);
        onServe();
        return Promise.resolve({ status: 200, json: {} });
      },
      onError: (error) => assert.fail(String(error)),
    });
  });
  afterEach(async () => {
    agent.destroy();
    await listener.close();
  });

  const call = (port = listener.port ?? 0) =>
    pskCall({ agent, host: "127.0.0.1", port, method: "POST", path: "/", body: "{}", timeoutMs: 30_000 });

  for (const [what, then] of [
    ["changed", newer],
    ["taken away", undefined],
  ] as const)
    it(`lets nobody in who held back the end of his handshake until it was ${what}`, async () => {
      const holder = await holdFinished(listener.port ?? 0);
      try {
        const answer = assert.rejects(call(holder.port));
        await asked.promise;
        key = then;
        listener.cutOff();
        holder.release();
        await answer;
        assert.deepEqual(served, []);
      } finally {
        holder.close();
      }
    });

  it("is that of one agent for as long as a connection lasts", async () => {
    const names = [identity, "agent:other"];
    const socket = connectTls({
      ...{ host: "127.0.0.1", port: listener.port ?? 0, minVersion: "TLSv1.2", maxVersion: "TLSv1.2" },
      ciphers: "ECDHE-PSK-CHACHA20-POLY1305",
      pskCallback: () => ({ psk: older, identity: names.shift() ?? "" }),
      checkServerIdentity: () => undefined,
    });
    try {
      await new Promise<void>((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
      await new Promise<void>((resolve) => {
        socket.on("error", () => resolve());
        socket.renegotiate({}, () => resolve());
      });
      assert.deepEqual(asking, new Set([identity]));
    } finally {
      socket.destroy();
    }
  });

  it("serves nothing more on a connection that it opened", async () => {
    assert.equal((await call()).status, 200);
    key = newer;
    await assert.rejects(call());
    assert.deepEqual(served, [identity]);
  });

  it("ends what is open by it, at once, and nothing else", async () => {
    const others = pskClient({ identity: "agent:other", key: newer });
    const free = [agent, others].map(
      (from) => new Promise<void>((resolve) => from.on("free", (socket: Socket) => socket.once("close", resolve))),
    );
    let over = 0;
    for (const closed of free) void closed.then(() => (over += 1));
    const port = listener.port ?? 0;
    try {
      assert.equal((await call()).status, 200);
      const other = { agent: others, host: "127.0.0.1", port, method: "POST", path: "/", body: "{}" } as const;
      assert.equal((await pskCall({ ...other, timeoutMs: 30_000 })).status, 200);
      key = newer;
      listener.cutOff();
      await free[0];
      assert.equal((await pskCall({ ...other, timeoutMs: 30_000 })).status, 200);
      assert.equal(over, 1);
    } finally {
      others.destroy();
    }
  });

  it("is answered by what withdrew it, and that ends the connection", async () => {
    onServe = () => (key = undefined);
    assert.equal((await call()).status, 200);
    key = newer;
    await assert.rejects(call());
    assert.deepEqual(served, [identity]);
  });
});
