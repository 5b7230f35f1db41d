import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { connect } from "node:tls";
import { agentIdentity, pskCall, pskClient, pskIdentity, pskServer } from "../../runtime-agent/src/shared/pskTls.ts";

const keyA = Buffer.alloc(32, 1);
const keyB = Buffer.alloc(32, 2);

describe("TLS with a key for each peer", () => {
  let keys: Map<string, Buffer>;
  let server: Server;
  let port: number;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  const agents: { destroy(): void }[] = [];

  beforeEach(async () => {
    keys = new Map([
      [agentIdentity("a"), keyA],
      [agentIdentity("b"), keyB],
    ]);
    answer = (request, response) => response.end(pskIdentity(request.socket));
    server = createServer(
      pskServer((identity) => keys.get(identity)),
      (request, response) => answer(request, response),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    port = (server.address() as AddressInfo).port;
  });

  afterEach(async () => {
    for (const agent of agents.splice(0)) agent.destroy();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  function call(identity: string, key: Buffer, more: { body?: string; mostBytes?: number; timeoutMs?: number } = {}) {
    const agent = pskClient({ identity, key });
    agents.push(agent);
    const method = more.body === undefined ? "GET" : "POST";
    return pskCall({ agent, host: "127.0.0.1", port, method, path: "/", ...more });
  }

  it("tells the server by whose key each caller came", async () => {
    const [a, b] = await Promise.all([call("agent:a", keyA), call("agent:b", keyB)]);
    assert.deepEqual(
      [a, b],
      [
        { status: 200, text: "agent:a" },
        { status: 200, text: "agent:b" },
      ],
    );
  });

  it("keeps one connection for several calls", async () => {
    let connections = 0;
    server.on("secureConnection", () => (connections += 1));
    const agent = pskClient({ identity: "agent:a", key: keyA });
    agents.push(agent);
    const one = { agent, host: "127.0.0.1", port, method: "GET", path: "/" } as const;
    for (let n = 0; n < 3; n += 1) assert.equal((await pskCall(one)).text, "agent:a");
    assert.equal(connections, 1);
  });

  it("refuses another's key, an unknown name, and nothing but TLS 1.2 with a key", async () => {
    await assert.rejects(call("agent:a", keyB));
    await assert.rejects(call("agent:c", keyA));
    const cipher = await new Promise<string>((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
        resolve(socket.getCipher().name);
        socket.destroy();
      });
      socket.once("error", () => resolve("none"));
      socket.once("timeout", reject);
    });
    assert.equal(cipher, "none");
  });

  it("asks a caller that was here before for his key again", async () => {
    assert.equal((await call("agent:a", keyA)).status, 200);
    // A session that could be resumed would be offered by the server now.
    const session = await new Promise<Buffer | undefined>((resolve, reject) => {
      const socket = connect(
        {
          host: "127.0.0.1",
          port,
          minVersion: "TLSv1.2",
          maxVersion: "TLSv1.2",
          ciphers: "ECDHE-PSK-CHACHA20-POLY1305",
          pskCallback: () => ({ psk: keyA, identity: "agent:a" }),
          checkServerIdentity: () => undefined,
        },
        () => {
          resolve(socket.getTLSTicket());
          socket.destroy();
        },
      );
      socket.once("error", reject);
    });
    assert.equal(session, undefined);
    keys.delete("agent:a");
    await assert.rejects(call("agent:a", keyA));
  });

  it("ends a call when it is told to, before it and while it waits", async () => {
    answer = () => undefined;
    const agent = pskClient({ identity: "agent:a", key: keyA });
    agents.push(agent);
    const one = { agent, host: "127.0.0.1", port, method: "GET", path: "/" } as const;
    await assert.rejects(pskCall({ ...one, signal: AbortSignal.abort() }), /aborted/);
    const stop = new AbortController();
    server.once("request", () => stop.abort());
    await assert.rejects(pskCall({ ...one, signal: stop.signal }), /aborted/);
  });

  it("sends a body as it is, and bounds what comes back and how long it takes", async () => {
    answer = (request, response) => void request.pipe(response);
    assert.equal((await call("agent:a", keyA, { body: '{"é":1}' })).text, '{"é":1}');
    answer = (_request, response) => response.end("x".repeat(5000));
    await assert.rejects(call("agent:a", keyA, { mostBytes: 4999 }), /above 4999 bytes/);
    answer = () => undefined;
    await assert.rejects(call("agent:a", keyA, { timeoutMs: 50 }), /no answer within|aborted/);
    // Headers that come in time do not buy the body more of it.
    answer = (_request, response) => void response.write("x");
    await assert.rejects(call("agent:a", keyA, { timeoutMs: 200 }), /no answer within|aborted/);
  });
});
