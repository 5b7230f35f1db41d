import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Webhook } from "standardwebhooks";
import { openChannel } from "../../runtime-agent/src/sentinel/watch/alerts/senders.ts";
import type { Message } from "../../runtime-agent/src/sentinel/watch/core/outbox.ts";

describe("Sentinel, how alerts are delivered", () => {
  const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
  const stop = new AbortController().signal;
  const message: Message = {
    id: "alert_1_1",
    alerts: [{ atMs: 0, subject: "watchdog site", kind: "problem", text: "down: HTTP 503" }],
    lost: 0,
    firstMs: 1000,
    attempts: 0,
    nextMs: 1000,
  };
  const got: { readonly request: IncomingMessage; readonly body: string }[] = [];
  let status = 200;
  let folder = "";
  let url = "";
  const receiver = createServer((request: IncomingMessage, response: ServerResponse) => {
    let body = "";
    request.on("data", (part: Buffer) => (body += part.toString()));
    request.on("end", () => {
      got.push({ request, body });
      response.writeHead(status, { location: "/other" }).end("{}");
    });
  });
  const listen = async (): Promise<number> => {
    await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
    const address = receiver.address();
    assert.ok(typeof address === "object" && address !== null);
    return address.port;
  };
  const file = async (name: string, text: string): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, `${text}\n`, { mode: 0o600 });
    return path;
  };
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "hive-alerts-"));
    url = `http://127.0.0.1:${String(await listen())}`;
  });
  after(async () => {
    receiver.close();
    await rm(folder, { recursive: true });
  });
  beforeEach(() => {
    got.length = 0;
    status = 200;
  });

  it("signs a webhook as the standard's own library verifies it, and sends the same again", async () => {
    const send = await openChannel({
      type: "webhook",
      name: "ops",
      url: `${url}/hook`,
      secretFile: await file("secret", secret),
    });
    await send(message, Date.now(), stop);
    await send({ ...message, attempts: 1 }, Date.now(), stop);
    const [first, second] = got;
    assert.ok(first !== undefined && second !== undefined);
    assert.equal(first.body, second.body);
    const headers = Object.fromEntries(
      Object.entries(first.request.headers).map(([key, value]) => [key, String(value)]),
    );
    const payload = new Webhook(secret).verify(first.body, headers);
    assert.deepEqual(payload, {
      type: "hive.alert",
      timestamp: "1970-01-01T00:00:01.000Z",
      data: {
        title: "Problem: watchdog site",
        lost: 0,
        alerts: [{ at: "1970-01-01T00:00:00.000Z", subject: "watchdog site", kind: "problem", text: "down: HTTP 503" }],
      },
    });
    assert.equal(headers["webhook-id"], "alert_1_1");
  });

  it("publishes to a topic of ntfy as JSON", async () => {
    const topicFile = await file("topic", "hive-3f9c");
    const tokenFile = await file("token", "tk_7eevizlsiwf9yi4uxsrs83r4352o0");
    const send = await openChannel({ type: "ntfy", name: "phone", url, topicFile, tokenFile });
    await send(message, Date.now(), stop);
    assert.equal(got[0]?.request.method, "POST");
    assert.equal(got[0]?.request.headers.authorization, "Bearer tk_7eevizlsiwf9yi4uxsrs83r4352o0");
    assert.deepEqual(JSON.parse(got[0]?.body ?? ""), {
      topic: "hive-3f9c",
      title: "Problem: watchdog site",
      message: "watchdog site: down: HTTP 503",
      priority: 4,
      tags: ["rotating_light"],
    });
    await (
      await openChannel({ type: "ntfy", name: "phone", url, topicFile })
    )(message, Date.now(), stop);
    assert.equal(got[1]?.request.headers.authorization, undefined);
  });

  it("counts as delivered only what was taken: no error, no redirect", async () => {
    const send = await openChannel({ type: "webhook", name: "ops", url, secretFile: await file("secret", secret) });
    for (status of [500, 410, 302])
      await assert.rejects(send(message, Date.now(), stop), new RegExp(`HTTP ${String(status)}`));
  });

  it("refuses a secret of another form, without showing it", async () => {
    for (const [name, channel] of [
      [
        "webhook",
        { type: "webhook" as const, name: "x", url, secretFile: await file("bad", "not-a-secret-but-private") },
      ],
      ["ntfy", { type: "ntfy" as const, name: "x", url, topicFile: await file("bad2", "not a topic but private") }],
    ] as const) {
      const error = String(await openChannel(channel).catch((caught: unknown) => caught));
      assert.match(error, /SecretFileError/, name);
      assert.doesNotMatch(error, /private/, name);
    }
  });
});
