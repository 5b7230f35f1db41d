import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { openApplication } from "../../runtime-agent/src/keeper/processes/apps/index.ts";
import type { ApplicationConfig } from "../../runtime-agent/src/keeper/processes/apps/application.ts";

interface Call {
  readonly line: string;
  readonly body: string;
  readonly authorization: string | undefined;
}

type Reply = (call: Call, response: ServerResponse) => void;

describe("applications' own APIs", () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.close();
      server.closeAllConnections();
    }
  });

  /** A server on a free port of the loopback, and what it was asked. */
  async function serve(reply: Reply): Promise<{ readonly url: string; readonly calls: Call[] }> {
    const calls: Call[] = [];
    const server = createServer((request: IncomingMessage, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (part: string) => (body += part));
      request.on("end", () => {
        const call = {
          line: `${request.method ?? ""} ${request.url ?? ""}`,
          body,
          authorization: request.headers.authorization,
        };
        calls.push(call);
        reply(call, response);
      });
    });
    servers.push(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    return { url: `http://127.0.0.1:${String(address.port)}`, calls };
  }
  const json = (response: ServerResponse, value: unknown): void => {
    response.setHeader("content-type", "application/json").end(JSON.stringify(value));
  };
  const posts = (calls: readonly Call[]): readonly string[] =>
    calls.filter(({ line }) => line.startsWith("POST")).map(({ line, body }) => `${line} ${body}`.trim());

  it("puts vLLM to sleep, waits until it says so, and wakes it", async () => {
    let sleeping = false;
    const { url, calls } = await serve(({ line }, response) => {
      // The answer comes before the engine sleeps, as its source says of some versions.
      if (line === "POST /prefix/sleep?level=1") setTimeout(() => (sleeping = true), 120);
      if (line === "POST /prefix/wake_up") sleeping = false;
      if (line === "GET /prefix/is_sleeping") json(response, { is_sleeping: sleeping });
      else response.end();
    });
    const app = openApplication({ type: "vllm", url: `${url}/prefix/`, token: "canary-token" });
    await app.lower(5_000);
    assert.equal(sleeping, true);
    assert.equal(await app.isLowered(1_000), true);
    await app.lower(5_000);
    await app.raise(5_000);
    await app.raise(5_000);
    assert.deepEqual(posts(calls), ["POST /prefix/sleep?level=1", "POST /prefix/wake_up"]);
    assert.ok(calls.every(({ authorization }) => authorization === "Bearer canary-token"));
  });

  it("says unsupported when vLLM was started without its sleep routes, and deadline when it never sleeps", async () => {
    const without = await serve((_, response) => response.writeHead(404).end("Not Found"));
    await assert.rejects(openApplication({ type: "vllm", url: without.url }).lower(1_000), { fault: "unsupported" });
    const never = await serve((_, response) => json(response, { is_sleeping: false }));
    await assert.rejects(openApplication({ type: "vllm", url: never.url }).lower(200), { fault: "deadline" });
  });

  it("unloads Ollama's models that lie on the GPU, the configured one or all", async () => {
    let loaded = [
      { name: "llama3:latest", size_vram: 5_000 },
      { name: "qwen:7b", size_vram: 7_000 },
      { name: "on-cpu:latest", size_vram: 0 },
    ];
    const { url, calls } = await serve(({ line, body }, response) => {
      if (line === "GET /api/ps") return json(response, { models: loaded });
      const asked = JSON.parse(body) as { model: string; keep_alive?: number };
      if (asked.keep_alive === 0) loaded = loaded.filter(({ name }) => name !== asked.model);
      else loaded.push({ name: `${asked.model}:latest`, size_vram: 5_000 });
      json(response, { done: true, done_reason: asked.keep_alive === 0 ? "unload" : "load" });
    });
    const one = openApplication({ type: "ollama", url, model: "llama3" });
    await one.lower(2_000);
    assert.deepEqual(
      loaded.map(({ name }) => name),
      ["qwen:7b", "on-cpu:latest"],
    );
    assert.equal(await one.isLowered(1_000), true);
    await one.raise(2_000);
    assert.equal(await one.isLowered(1_000), false);
    await openApplication({ type: "ollama", url }).lower(2_000);
    assert.deepEqual(
      loaded.map(({ name }) => name),
      ["on-cpu:latest"],
    );
    assert.equal(posts(calls)[0], 'POST /api/generate {"model":"llama3:latest","keep_alive":0,"stream":false}');
  });

  it("asks ComfyUI to free memory when it is idle, and ends a running workflow only where that is allowed", async () => {
    let running: unknown[] = [];
    let pending: unknown[] = [];
    const { url, calls } = await serve(({ line }, response) => {
      if (line === "GET /queue") return json(response, { queue_running: running, queue_pending: pending });
      if (line === "POST /interrupt") setTimeout(() => (running = []), 80);
      response.end();
    });
    const gentle = openApplication({ type: "comfyui", url });
    const firm = openApplication({ type: "comfyui", url, interrupt: true });
    running = [[0, "a"]];
    await assert.rejects(gentle.lower(1_000), { fault: "refused" });
    pending = [[1, "b"]];
    await assert.rejects(firm.lower(1_000), { fault: "refused" });
    assert.deepEqual(posts(calls), []);
    pending = [];
    await firm.lower(2_000);
    await gentle.lower(2_000);
    const free = 'POST /free {"unload_models":true,"free_memory":true}';
    assert.deepEqual(posts(calls), ["POST /interrupt", free, free]);
  });

  it("follows no redirect, and bounds time, length and form of an answer", async () => {
    const secret = await serve((_, response) => json(response, { is_sleeping: true }));
    const cases: readonly (readonly [string, Reply, string])[] = [
      ["redirect", (_, r) => r.writeHead(307, { location: `${secret.url}/is_sleeping` }).end(), "failed"],
      ["hanging", () => undefined, "deadline"],
      ["endless", (_, r) => r.write(Buffer.alloc(8 * 1024 * 1024, 0x20)), "failed"],
      ["no JSON", (_, r) => r.end("<html>"), "failed"],
      ["another form", (_, r) => json(r, { is_sleeping: "no" }), "failed"],
      [
        "cut off",
        (_, r) => {
          r.writeHead(200, { "content-length": 100 }).write("{");
          setTimeout(() => r.destroy(), 20);
        },
        "failed",
      ],
      ["error", (_, r) => r.writeHead(500).end("engine dead"), "failed"],
    ];
    for (const [name, reply, fault] of cases) {
      const { url } = await serve(reply);
      await assert.rejects(
        openApplication({ type: "vllm", url, token: "canary-token" }).isLowered(fault === "deadline" ? 300 : 30_000),
        (error: Error & { fault?: string }) => {
          assert.equal(error.fault, fault, `${name}: ${error.message}`);
          assert.doesNotMatch(error.message, /canary/);
          return true;
        },
      );
    }
    assert.deepEqual(secret.calls, []);
  });

  it("says absent when nobody listens, and refuses URLs of another kind", async () => {
    const { url } = await serve(() => undefined);
    const [server] = servers.splice(0);
    server?.close();
    await assert.rejects(openApplication({ type: "ollama", url }).lower(1_000), { fault: "absent" });
    for (const bad of ["file:///etc/passwd", "nonsense", "http://user:secret@127.0.0.1/"]) {
      const config: ApplicationConfig = { type: "comfyui", url: bad };
      assert.throws(
        () => openApplication(config),
        (error: Error) => !error.message.includes("secret"),
      );
    }
  });
});
