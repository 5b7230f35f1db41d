import assert from "node:assert/strict";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { mostBodyBytes } from "../../components/shared/signals/protocol.ts";
import { signWebhook } from "../../components/shared/signals/webhooks.ts";
import { answerSentinel } from "../../runtime-agent/src/runner/api.ts";
import { acceptSignal } from "../../runtime-agent/src/runner/core/accept.ts";
import { listenPsk, type BoundedListener } from "../../runtime-agent/src/shared/boundedHttp.ts";
import { pskCall, pskClient } from "../../runtime-agent/src/shared/pskTls.ts";
import { seededRandom } from "../support/seeded.ts";
import { fuzzPrey, fuzzRequests, fuzzSignals } from "../support/signalFuzz.ts";

const key = Buffer.from("0123456789abcdef".repeat(4), "hex");

describe("the signal endpoint under attack", () => {
  it("accepts nothing, throws nothing, remembers nothing", () => {
    const answers = fuzzSignals(20_260_101, 5_000);
    // Each kind of refusal was met: the attacks get as far as they were meant to.
    for (const status of [400, 401, 409, 413]) assert.ok((answers.get(status) ?? 0) > 0, `no ${String(status)}`);
  });

  it("gives the same answers for the same seed", () => {
    assert.deepEqual(fuzzSignals(7, 500), fuzzSignals(7, 500));
  });

  describe("on a real socket", () => {
    const nowSec = Math.floor(Date.now() / 1000);
    const { prey, state } = fuzzPrey(nowSec);
    const errors: unknown[] = [];
    let listener: BoundedListener;
    let port: number;

    before(async () => {
      listener = await listenPsk({
        listen: { host: "127.0.0.1", port: 0 },
        keyOf: (identity) => (identity === "agent:ghost" ? key : undefined),
        mostBodyBytes,
        mostConnections: 8,
        requestMs: 1000,
        onError: (error) => errors.push(error),
        handle: (request) =>
          answerSentinel(
            {
              signal: async (signal) =>
                acceptSignal(state, signal, { agent: prey.agent, secrets: [prey.secret] }, nowSec * 1000),
              run: async (id) => state.runs.get(id),
              runLog: { tail: async () => "", part: () => Promise.reject(new Error("none")) },
              health: async () => ({}),
            },
            request,
          ),
      });
      port = listener.port ?? 0;
    });
    after(() => listener.close());

    it("refuses every request, and still answers a good one", async () => {
      const agent = pskClient({ identity: "agent:ghost", key });
      const post = (headers: Record<string, string>, body: string) =>
        pskCall({ agent, host: "127.0.0.1", port, method: "POST", path: "/v1/signals", headers, body });
      let sent = 0;
      for (const { headers, body } of fuzzRequests(99, prey, nowSec)) {
        if (sent >= 200) break;
        const plain = Object.entries(headers).flatMap(([name, value]): [string, string][] =>
          // What a client cannot put into a header is left to the pure test.
          typeof value === "string" && /^[\x20-\x7e]*$/.test(value) ? [[name, value]] : [],
        );
        const text = Buffer.from(body).toString("latin1");
        const { status } = await post(Object.fromEntries(plain), text);
        assert.ok(status >= 400 && status < 500, String(status));
        sent += 1;
      }
      const { status } = await post(
        { ...signWebhook("known", nowSec, prey.known.body, prey.secret) },
        prey.known.body.toString(),
      );
      assert.equal(status, 200);
      agent.destroy();
      assert.deepEqual(errors, []);
    });

    it("outlives bytes that are no TLS, no HTTP, or come too slowly, and more connections than it takes", async () => {
      const random = seededRandom(5);
      const noise = (n: number): Buffer => Buffer.from(Array.from({ length: n }, () => Math.floor(random() * 256)));
      const tls = () =>
        connectTls({
          host: "127.0.0.1",
          port,
          minVersion: "TLSv1.2",
          maxVersion: "TLSv1.2",
          ciphers: "ECDHE-PSK-CHACHA20-POLY1305",
          pskCallback: () => ({ psk: key, identity: "agent:ghost" }),
          checkServerIdentity: () => undefined,
        });
      const noisy = (): Socket => {
        const socket = connectTcp(port, "127.0.0.1");
        socket.on("connect", () => socket.write(noise(200)));
        return socket;
      };
      const closed = [
        ...Array.from({ length: 20 }, noisy),
        // Silent ones: their place is taken by whoever shows a key.
        ...Array.from({ length: 20 }, () => connectTcp(port, "127.0.0.1")),
      ];
      const slow = tls();
      slow.write("POST /v1/signals HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12");
      const wild = tls();
      wild.write(Buffer.concat([noise(500), Buffer.from("\r\n\r\n")]));
      const long = tls();
      long.write(`GET /${"x".repeat(20_000)} HTTP/1.1\r\n\r\n`);
      const all = [...closed, slow, wild, long];
      const ends = all.map(
        (socket) =>
          new Promise<void>((end) =>
            socket
              .on("error", () => undefined)
              .on("close", () => end())
              .resume(),
          ),
      );
      const agent = pskClient({ identity: "agent:ghost", key });
      const ask = () => pskCall({ agent, host: "127.0.0.1", port, method: "GET", path: "/v1/health" });
      assert.equal((await ask()).status, 200);
      // Each is ended by the listener: those that say nothing when their handshake is overdue.
      await Promise.all(ends);
      assert.equal((await ask()).status, 200);
      agent.destroy();
      assert.deepEqual(errors, []);
    });
  });
});
