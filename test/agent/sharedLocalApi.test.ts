import assert from "node:assert/strict";
import { once } from "node:events";
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { connect } from "node:net";
import path from "node:path";
import type { LocalApi, LocalApiOptions, Route } from "../../runtime-agent/src/shared/localApi/index.ts";
import { ApiError, callLocalApi, startLocalApi, tokenSha256 } from "../../runtime-agent/src/shared/localApi/index.ts";
import { startSource, temporaryFolder } from "../support/agentChild.ts";

const eva = "e".repeat(43);
const failures: string[] = [];
const routes: Route[] = [
  { method: "GET", path: "/whoami", role: "service", handle: ({ caller }) => ({ json: caller }) },
  { method: "GET", path: "/secret", role: "admin", handle: () => ({ text: "x 1\n", contentType: "text/plain" }) },
  { method: "POST", path: "/echo/:name", role: "service", handle: ({ body, params }) => ({ json: { body, params } }) },
  {
    method: "GET",
    path: "/fails",
    role: "service",
    handle() {
      throw new Error("inner detail");
    },
  },
  {
    method: "GET",
    path: "/refuses",
    role: "service",
    handle: () => Promise.reject(new ApiError(409, "busy", { property: "gpu", limit: "one holder", fix: "Wait." })),
  },
];

async function started(
  folder: string,
  more: Partial<LocalApiOptions> = {},
): Promise<{ socket: string; tokenFile: string; token: string; api: LocalApi } & AsyncDisposable> {
  const [socket, tokenFile] = [path.join(folder, "run/api.sock"), path.join(folder, "run/api.token")];
  const serviceTokenSha256 = { eva: tokenSha256(eva) };
  const onError = (error: unknown, where: string): number => failures.push(`${where} ${String(error)}`);
  const api = await startLocalApi({ socket, tokenFile, serviceTokenSha256, routes, onError, ...more });
  const token = (await readFile(tokenFile, "utf8")).trim();
  return { socket, tokenFile, token, api, [Symbol.asyncDispose]: () => api.close() };
}

/** Sends bytes as they are; gives everything that came back until the other side ended. */
function raw(socket: string, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const stream: Socket = connect(socket, () => stream.write(bytes));
    stream.setEncoding("latin1").on("data", (data: string) => (text += data));
    stream.on("error", () => undefined);
    stream.on("close", () => resolve(text));
  });
}

describe("local API", () => {
  it("makes a socket that every user can reach and a 0600 token, and makes the token anew when others could read it", async () => {
    await using place = await temporaryFolder();
    let first: string;
    {
      await using run = await started(place.folder);
      assert.equal((await stat(run.socket)).mode & 0o777, 0o666);
      assert.equal((await stat(path.dirname(run.socket))).mode & 0o777, 0o755);
      assert.equal((await stat(run.tokenFile)).mode & 0o777, 0o600);
      first = run.token;
    }
    await using again = await started(place.folder);
    assert.equal(again.token, first);
    await again.api.close();
    await chmod(again.tokenFile, 0o644);
    await using anew = await started(place.folder);
    assert.notEqual(anew.token, first);
  });

  it("knows callers by their token and lets a service do what a service may", async () => {
    await using place = await temporaryFolder();
    await using run = await started(place.folder);
    const { socket, token } = run;
    const get = async (by: string, at: string): Promise<readonly [number, unknown]> => {
      const { status, text } = await callLocalApi({ socket, token: by, path: at });
      return [status, JSON.parse(text)];
    };
    assert.deepEqual(await get(token, "/whoami"), [200, { role: "admin" }]);
    assert.deepEqual(await get(eva, "/whoami"), [200, { role: "service", service: "eva" }]);
    assert.equal((await get(eva, "/secret"))[0], 403);
    assert.equal((await get(`${token.slice(0, -1)}!`, "/whoami"))[0], 401);
    assert.equal((await get("e".repeat(42), "/whoami"))[0], 401);
    assert.equal((await callLocalApi({ socket, token, path: "/secret" })).text, "x 1\n");
    assert.match(await raw(socket, "GET /whoami HTTP/1.1\r\nhost: x\r\n\r\n"), /^HTTP\/1.1 401 /);
  });

  it("answers mistakes with JSON that says what is allowed, and failures without their details", async () => {
    await using place = await temporaryFolder();
    await using run = await started(place.folder);
    const { socket, token } = run;
    const call = (method: "GET" | "POST" | "PUT", at: string, body?: unknown): ReturnType<typeof callLocalApi> =>
      callLocalApi({ socket, token, path: at, method, body });
    assert.equal((await call("GET", "/nowhere")).status, 404);
    const wrong = await call("PUT", "/whoami");
    assert.deepEqual([wrong.status, JSON.parse(wrong.text)], [405, { error: "no such method here", limit: "GET" }]);
    const echo = await call("POST", "/echo/a%20b", { x: [1] });
    assert.deepEqual(JSON.parse(echo.text), { body: { x: [1] }, params: { name: "a b" } });
    const refusal = await call("GET", "/refuses");
    assert.deepEqual(
      [refusal.status, JSON.parse(refusal.text)],
      [409, { error: "busy", property: "gpu", limit: "one holder", fix: "Wait." }],
    );
    const failure = await call("GET", "/fails");
    assert.equal(failure.status, 500);
    assert.ok(!failure.text.includes("inner detail"));
    assert.deepEqual(failures.splice(0), ["GET /fails Error: inner detail"]);
    const auth = `authorization: Bearer ${token}\r\nhost: x\r\nconnection: close\r\n`;
    for (const [body, says] of [
      ["{nonsense", /^HTTP\/1.1 400 .*"the body is not JSON"/s],
      ["[".repeat(30_000) + "]".repeat(30_000), /^HTTP\/1.1 400 .*"the body is nested too deeply"/s],
    ] as const) {
      const bad = `POST /echo/x HTTP/1.1\r\n${auth}content-length: ${String(body.length)}\r\n\r\n${body}`;
      assert.match(await raw(socket, bad), says);
    }
  });

  it("bounds bodies, headers and nonsense, by content-length and by chunks", async () => {
    await using place = await temporaryFolder();
    await using run = await started(place.folder);
    const { socket, token } = run;
    const auth = `authorization: Bearer ${token}\r\nhost: x\r\n`;
    const large = "x".repeat(70_000);
    const post = `POST /echo/x HTTP/1.1\r\n${auth}`;
    assert.match(await raw(socket, `${post}content-length: 70000\r\n\r\n${large}`), /^HTTP\/1.1 413 /);
    const chunk = `${large.length.toString(16)}\r\n${large}\r\n`;
    assert.match(await raw(socket, `${post}transfer-encoding: chunked\r\n\r\n${chunk}`), /^HTTP\/1.1 413 /);
    const header = `GET / HTTP/1.1\r\n${auth}x: ${"y".repeat(9000)}\r\n\r\n`;
    assert.match(await raw(socket, header), /^HTTP\/1.1 4(?:00|31) /);
    assert.match(await raw(socket, "\0\u0001nonsense\r\n\r\n"), /^HTTP\/1.1 400 /);
    assert.equal((await callLocalApi({ socket, token, path: "/whoami" })).status, 200);
  });

  it("drops callers that never finish, and serves others beside a flood of connections", async () => {
    await using place = await temporaryFolder();
    await using run = await started(place.folder, { requestTimeoutMs: 300, maxConnections: 8 });
    const { socket, token } = run;
    const slow = raw(socket, "GET /whoami HTTP/1.1\r\nx: ");
    assert.match(await slow, /^HTTP\/1.1 4|^$/);
    const flood = Array.from({ length: 200 }, () => raw(socket, "GET"));
    await Promise.all(flood);
    assert.equal((await callLocalApi({ socket, token, path: "/whoami" })).status, 200);
  });

  it("serves who has a token while callers without one hold every connection and come back when dropped", async () => {
    await using place = await temporaryFolder();
    await using run = await started(place.folder, { maxConnections: 16 });
    const { socket, token } = run;
    const held = new Set<Socket>();
    let over = false;
    const hold = (): void => {
      if (over) return;
      const stream = connect(socket);
      held.add(stream);
      stream.on("error", () => undefined).on("close", () => held.delete(stream) && setTimeout(hold, 1));
    };
    for (let caller = 0; caller < 24; caller += 1) hold();
    try {
      for (let call = 0; call < 20; call += 1) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        assert.equal((await callLocalApi({ socket, token, path: "/whoami" })).status, 200);
      }
    } finally {
      over = true;
      for (const stream of held) stream.destroy();
    }
  });

  it("also listens on the loopback when asked to", async () => {
    await using place = await temporaryFolder();
    await using run = await started(place.folder, { tcp: { host: "127.0.0.1", port: 0 } });
    const answer = await fetch(`http://127.0.0.1:${String(run.api.port)}/whoami`, {
      headers: { authorization: `Bearer ${eva}` },
    });
    assert.deepEqual(await answer.json(), { role: "service", service: "eva" });
  });

  it("puts other service tokens in force while calls wait, and recognises the old ones no more", async () => {
    await using place = await temporaryFolder();
    const go = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const waits: Route = {
      ...{ method: "GET", path: "/waits", role: "service" },
      async handle() {
        asked.resolve();
        await go.promise;
        return { json: "told" };
      },
    };
    await using run = await started(place.folder, { routes: [...routes, waits] });
    const waiting = callLocalApi({ socket: run.socket, token: eva, path: "/waits" });
    await asked.promise;
    run.api.setServiceTokens({ muse: tokenSha256("m".repeat(43)) });
    const who = async (token: string): Promise<number> =>
      (await callLocalApi({ socket: run.socket, token, path: "/whoami" })).status;
    assert.deepEqual([await who(eva), await who("m".repeat(43)), await who(run.token)], [401, 200, 200]);
    go.resolve();
    assert.equal((await waiting).status, 200);
  });

  it("leaves connections for the others, however many one service holds open", async () => {
    await using place = await temporaryFolder();
    await using run = await started(place.folder, { maxConnections: 8 });
    const ask = `GET /whoami HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${eva}\r\n\r\n`;
    const kept = await Promise.all(
      [1, 2].map(async () => {
        const stream = connect(run.socket);
        stream.write(ask);
        await once(stream, "data");
        return stream;
      }),
    );
    assert.match(await raw(run.socket, ask), /^HTTP\/1\.1 429 /);
    assert.equal((await callLocalApi({ socket: run.socket, token: run.token, path: "/whoami" })).status, 200);
    for (const stream of kept) {
      stream.end();
      await once(stream.resume(), "close");
    }
    assert.equal((await callLocalApi({ socket: run.socket, token: eva, path: "/whoami" })).status, 200);
  });

  it("takes over the socket of an agent that was killed, and refuses that of one that runs", async () => {
    await using place = await temporaryFolder();
    const source = `
      import { startLocalApi } from "/shared/localApi/index.ts";
      await startLocalApi({ socket: process.env.DIR + "/run/api.sock", tokenFile: process.env.DIR + "/run/api.token", routes: [] });
      process.stdout.write("up");`;
    const other = startSource(source, { DIR: place.folder });
    await other.said("up");
    await assert.rejects(started(place.folder), /another agent listens/);
    other.child.kill("SIGKILL");
    await other.ended;
    await using run = await started(place.folder);
    assert.equal((await callLocalApi({ socket: run.socket, token: run.token, path: "/whoami" })).status, 200);
  });

  it("refuses a socket's path that the kernel would cut", async () => {
    await using place = await temporaryFolder();
    const folder = path.join(place.folder, "x".repeat(100));
    await mkdir(folder);
    await writeFile(path.join(folder, "y"), "");
    await assert.rejects(started(folder), /107 bytes/);
  });
});
