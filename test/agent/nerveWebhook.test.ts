import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { Agent } from "node:https";
import { type Socket, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TLSSocket, connect as connectTls } from "node:tls";
import { admit } from "../../runtime-agent/src/nerve/core/admission.ts";
import { fieldsOf } from "../../runtime-agent/src/nerve/core/annotations.ts";
import { type Webhook, startWebhook } from "../../runtime-agent/src/nerve/webhook/server.ts";
import { realClock } from "../../runtime-agent/src/shared/clock.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";
import { asyncPod, reviewFor, rules } from "../support/nerve.ts";
import {
  type Authority,
  type Call,
  type CallAnswer,
  type CertificatePlace,
  callWebhook,
  certificatePlace,
  mount,
  newAuthority,
  serviceName,
} from "../support/nerveWebhook.ts";

const mib = 1024 * 1024;
const review = reviewFor(asyncPod());

describe("Nerve's webhook", () => {
  let folder: string;
  let place: CertificatePlace;
  let [old, next]: Authority[] = [];
  let webhook: Webhook;
  let lines: string[];

  before(async () => {
    [old, next] = await Promise.all([newAuthority("old"), newAuthority("new")]);
  });
  beforeEach(async () => {
    assert.ok(old);
    folder = mkdtempSync(join(tmpdir(), "hive-nerve-"));
    place = certificatePlace(folder);
    mount(place, await old.issue());
    lines = [];
    webhook = await startWebhook({
      listen: { host: "127.0.0.1", port: 0 },
      files: place,
      reloadMs: 3_600_000,
      clock: realClock(),
      log: createLog({ write: (line) => lines.push(line) }),
      admit: (question) => admit(question, rules, Date.now()),
    });
  });
  afterEach(async () => {
    await webhook?.close();
    rmSync(folder, { recursive: true });
  });

  const call = (more: Partial<Call> = {}): Promise<CallAnswer> =>
    callWebhook({ port: webhook.port, ca: old?.ca ?? "", body: review, ...more });
  const get = (path: string): Promise<CallAnswer> => call({ path, method: "GET", body: undefined });
  const metric = async (line: string): Promise<number> =>
    Number(
      (await get("/metrics")).text
        .split("\n")
        .find((each) => each.startsWith(`${line} `))
        ?.slice(line.length),
    );
  const open = async (): Promise<TLSSocket> => {
    const socket = connectTls({ port: webhook.port, host: "127.0.0.1", ca: old?.ca, servername: serviceName });
    socket.on("error", () => undefined);
    await once(socket, "secureConnect");
    return socket;
  };

  it("answers reviews, and tells how it is", async () => {
    const { status, text } = await call();
    const { response } = fieldsOf(JSON.parse(text));
    assert.deepEqual([status, fieldsOf(response)["patchType"]], [200, "JSONPatch"]);
    await call({ body: {} });
    assert.equal(await metric('hive_nerve_admissions_total{outcome="held"}'), 1);
    assert.equal(await metric('hive_nerve_admissions_total{outcome="not-asked"}'), 1);
    assert.equal(await metric("hive_nerve_admission_seconds_count"), 2);
    assert.equal(await metric('hive_nerve_admission_seconds_bucket{le="+Inf"}'), 2);
    assert.ok((await metric("hive_nerve_certificate_expires_seconds")) > Date.now() / 1000);
    assert.ok((await metric("hive_agent_resident_bytes")) > mib);
    const paths = ["/healthz", "/readyz", "/", "/admit", "/constructor"];
    const statuses = await Promise.all(paths.map(async (path) => (await get(path)).status));
    assert.deepEqual(statuses, [200, 200, 404, 405, 404]);
    assert.equal((await call({ path: "/metrics" })).status, 405);
  });

  it("refuses what is no JSON, too long, or too much once it is parsed, and goes on", async () => {
    const sized = (bytes: number): Record<string, unknown> => ({ ...review, more: "x".repeat(bytes) });
    const chunked = { "transfer-encoding": "chunked" };
    const statuses = [];
    for (const more of [
      { body: "{" },
      { body: "" },
      { body: Buffer.from([0xff, 0xfe]) },
      { body: sized(2.9 * mib) },
      { body: sized(3 * mib) },
      { body: sized(3 * mib), headers: chunked },
      { body: { ...review, more: new Array<number>(mib / 2).fill(0) } },
      { body: '[{"a":'.repeat(mib / 4) },
      { body: "[".repeat(100_000) + "]".repeat(100_000) },
      {},
    ])
      statuses.push((await call(more).catch(({ code }: NodeJS.ErrnoException) => ({ status: code }))).status);
    // A caller that still writes may see the connection close before it reads why.
    const full = [413, "EPIPE", "ECONNRESET"];
    const [broken, empty, binary, long, longer, chunks, wide, deep, nested, good] = statuses;
    assert.deepEqual([broken, empty, binary, long, wide, deep, nested, good], [400, 400, 400, 200, 413, 413, 413, 200]);
    for (const status of [longer, chunks]) assert.ok(status !== undefined && full.includes(status), String(status));
    assert.equal(await metric('hive_nerve_admissions_refused_total{reason="too-big"}'), 5);
    assert.equal(await metric('hive_nerve_admissions_refused_total{reason="garbage"}'), 3);
  });

  it("ends whoever is slow, before and after the headers, and whoever speaks no TLS", async () => {
    const ended = (socket: Socket): Promise<number> => {
      const began = performance.now();
      socket.on("error", () => undefined).resume();
      return once(socket, "close").then(() => performance.now() - began);
    };
    const slowBody = await open();
    slowBody.write("POST /admit HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{");
    const slowHeaders = await open();
    slowHeaders.write("POST /admit HTTP/1.1\r\nhost: x\r\n");
    const silent = connect(webhook.port, "127.0.0.1");
    const plain = connect(webhook.port, "127.0.0.1");
    plain.write("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    const took = await Promise.all([slowBody, slowHeaders, silent, plain].map(ended));
    assert.ok(Math.min(...took.slice(0, 2)) > 500);
    assert.equal((await call()).status, 200);
  });

  it("has room for a newcomer however many connections idle", async () => {
    const idle: TLSSocket[] = [];
    for (let number = 0; number < 60; number += 1) {
      const socket = await open();
      socket.write("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
      await once(socket, "data");
      idle.push(socket);
    }
    assert.equal((await call()).status, 200);
    assert.ok(idle.some(({ destroyed, readableEnded }) => destroyed || readableEnded));
    for (const socket of idle) socket.destroy();
  });

  it("takes a new certificate over by an overlapping bundle without a failed call", async () => {
    assert.ok(old && next);
    const [first, second] = [old.ca, next.ca];
    const kept = new Agent({ keepAlive: true, maxSockets: 1 });
    const both = { ca: [first, second] };
    await call({ agent: kept, ...both });
    const pair = await next.issue();

    // The certificate comes first, and for a moment the key is of another: the old pair goes on.
    mount(place, { cert: pair.cert });
    await webhook.reload();
    await webhook.reload();
    assert.equal((await call()).status, 200);
    mount(place, { key: pair.key });
    await webhook.reload();

    assert.deepEqual([(await call({ agent: kept, ...both })).status, (await call(both)).status], [200, 200]);
    assert.equal((await call({ ca: second })).status, 200);
    await assert.rejects(call({ ca: first }), { code: /UNABLE_TO_VERIFY|SELF_SIGNED/ });
    const changes = (result: string): Promise<number> =>
      callWebhook({ port: webhook.port, ca: second, path: "/metrics", method: "GET" }).then(({ text }) =>
        Number(new RegExp(`changes_total{result="${result}"} (\\d+)`).exec(text)?.[1]),
      );
    assert.deepEqual([await changes("taken"), await changes("refused")], [1, 1]);
    assert.equal(lines.filter((line) => line.includes("is not the key of")).length, 1);
    kept.destroy();
  });

  it("keeps its certificate when the new one is broken or gone, and says which file", async () => {
    mount(place, { cert: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" });
    await webhook.reload();
    rmSync(place.keyFile);
    await webhook.reload();
    assert.equal((await call()).status, 200);
    assert.match(lines.join(""), /tls\.crt is no PEM that can be used/);
    assert.match(lines.join(""), /ENOENT.*tls\.key/);
    assert.doesNotMatch(lines.join(""), /AAAA/);
  });

  it("is not ready once its certificate has expired, and again with a new one", async () => {
    assert.ok(old);
    mount(place, await old.issue(Date.now() - 3_600_000));
    await webhook.reload();
    await assert.rejects(call(), { code: "CERT_HAS_EXPIRED" });
    // As a kubelet asks: it checks no certificate.
    const asked = (): Promise<CallAnswer> => {
      const agent = new Agent({ rejectUnauthorized: false });
      return call({ path: "/readyz", method: "GET", body: undefined, agent }).finally(() => agent.destroy());
    };
    assert.deepEqual(await asked(), { status: 503, text: "the certificate has expired\n" });
    mount(place, await old.issue());
    await webhook.reload();
    assert.deepEqual([(await asked()).status, (await call()).status], [200, 200]);
  });

  it("answers what is under way before it ends", async () => {
    const socket = await open();
    const body = JSON.stringify(review);
    socket.write(
      `POST /admit HTTP/1.1\r\nhost: x\r\ncontent-length: ${String(body.length)}\r\n\r\n${body.slice(0, 9)}`,
    );
    let said = "";
    socket.setEncoding("utf8").on("data", (part: string) => (said += part));
    await get("/healthz");
    const closed = webhook.close();
    socket.write(body.slice(9));
    await Promise.all([closed, once(socket, "close")]);
    assert.match(said, /^HTTP\/1\.1 200 OK/);
    await assert.rejects(call(), { code: "ECONNREFUSED" });
  });
});
