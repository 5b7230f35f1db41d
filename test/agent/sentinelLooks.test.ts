import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer as createHttp } from "node:http";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createServer as createTls } from "node:tls";
import { generate } from "selfsigned";
import { lookHttp } from "../../runtime-agent/src/sentinel/watch/looks/http.ts";
import { openLooks } from "../../runtime-agent/src/sentinel/watch/looks/look.ts";
import { lookPing } from "../../runtime-agent/src/sentinel/watch/looks/ping.ts";
import { lookTcp } from "../../runtime-agent/src/sentinel/watch/looks/tcp.ts";
import { lookTls } from "../../runtime-agent/src/sentinel/watch/looks/tls.ts";
import { skip } from "../run/skip.ts";
import { freePort } from "../../lab/host/freePort.ts";

const host = "127.0.0.1";
/** Far more than anything here takes. */
const deadlineMs = 30_000;
const dayMs = 86_400_000;

/** Listens on a free port of the loopback. */
async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}

async function until(holds: () => boolean): Promise<void> {
  for (let n = 0; n < 3000 && !holds(); n += 1) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(holds());
}

describe("Sentinel, what watchdogs look at", () => {
  const open: Server[] = [];
  let folder = "";
  const serve = (server: Server): Promise<number> => {
    open.push(server);
    return listen(server);
  };
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "hive-looks-"));
  });
  after(async () => {
    for (const server of open) {
      if ("closeAllConnections" in server && typeof server.closeAllConnections === "function")
        server.closeAllConnections();
      server.close();
    }
    await rm(folder, { recursive: true });
  });

  describe("HTTP", () => {
    let url = "";
    before(async () => {
      const port = await serve(
        createHttp((request, response) => {
          if (request.url === "/silent") return;
          if (request.url === "/cut")
            return void response.writeHead(200, { "content-length": 10 }).write("x", () => response.destroy());
          if (request.url === "/endless") {
            response.write("all is well");
            const more = (): void => void (response.destroyed || response.write("x".repeat(65_536), more));
            return more();
          }
          const status = Number(request.url?.slice(1));
          response.writeHead(status, { location: "/200" }).end("all is well");
        }),
      );
      url = `http://${host}:${String(port)}`;
    });
    const look = (path: string, changes: Partial<Parameters<typeof lookHttp>[0]> = {}) =>
      lookHttp({ url: url + path, deadlineMs, ...changes });

    it("judges the status and the text", async () => {
      assert.deepEqual(await look("/200"), { ok: true, detail: "HTTP 200" });
      assert.deepEqual(await look("/503"), { ok: false, detail: "HTTP 503" });
      assert.deepEqual(await look("/302"), { ok: false, detail: "HTTP 302" });
      assert.equal((await look("/401", { status: [401] })).ok, true);
      assert.equal((await look("/200", { text: "is well" })).ok, true);
      assert.deepEqual(await look("/200", { text: "is bad" }), {
        ok: false,
        detail: "HTTP 200, without the text that it must hold",
      });
    });

    it("reads no more than it must, and keeps its deadline", async () => {
      assert.equal((await look("/endless", { text: "all is well" })).ok, true);
      assert.deepEqual(await look("/silent", { deadlineMs: 50 }), { ok: false, detail: "no answer within 0.05 s" });
      assert.match((await look("/cut")).detail, /cut off|reset/);
      const stop = AbortSignal.abort();
      assert.deepEqual(await look("/silent", { stop }), { ok: false, detail: "stopped" });
    });

    it("says in words why there is no answer", async () => {
      const closed = `http://${host}:${String(await freePort())}`;
      assert.deepEqual(await lookHttp({ url: closed, deadlineMs }), { ok: false, detail: "connection refused" });
    });
  });

  it("TCP: connects, or says why not", async () => {
    const port = await serve(createServer((socket) => socket.on("error", () => undefined)));
    assert.deepEqual(await lookTcp({ host, port, deadlineMs }), { ok: true, detail: "connected" });
    assert.deepEqual(await lookTcp({ host, port: await freePort(), deadlineMs }), {
      ok: false,
      detail: "connection refused",
    });
    const stop = AbortSignal.abort();
    assert.deepEqual(await lookTcp({ host, port, deadlineMs, stop }), { ok: false, detail: "stopped" });
  });

  describe("TLS", () => {
    const names = [
      {
        name: "subjectAltName" as const,
        altNames: [
          { type: 2 as const, value: "hive.test" },
          { type: 7 as const, ip: host },
        ],
      },
    ];
    const made = async (days: number) => {
      const pems = await generate([{ name: "commonName", value: "hive.test" }], {
        keyType: "ec",
        notAfterDate: new Date(Date.now() + days * dayMs),
        extensions: names,
      });
      const port = await serve(
        createTls({ key: pems.private, cert: pems.cert }, (socket) => socket.on("error", () => undefined)).on(
          "tlsClientError",
          () => undefined,
        ),
      );
      return { port, ca: pems.cert };
    };
    const wallMs = (): number => Date.now();

    it("counts the days that a certificate has left", async () => {
      const { port, ca } = await made(20);
      const look = { host, port, ca, deadlineMs, wallMs };
      const good = await lookTls({ ...look, days: 14 });
      assert.equal(good.ok, true);
      assert.match(good.detail, /^valid for (19|20) more days$/);
      assert.equal((await lookTls({ ...look, days: 21 })).ok, false);
      const later = (): number => Date.now() + 30 * dayMs;
      assert.deepEqual(await lookTls({ ...look, days: 14, wallMs: later }), {
        ok: false,
        detail: "its certificate has expired",
      });
    });

    it("believes it only for its name, and from an authority", async () => {
      const { port, ca } = await made(90);
      const look = { host, port, days: 1, deadlineMs, wallMs };
      assert.equal((await lookTls({ ...look, ca, serverName: "hive.test" })).ok, true);
      assert.match(
        (await lookTls({ ...look, ca, serverName: "other.test" })).detail,
        /not believed: ERR_TLS_CERT_ALTNAME_INVALID/,
      );
      assert.match((await lookTls(look)).detail, /not believed: (DEPTH_ZERO_)?SELF_SIGNED/);
    });

    it("ends where nobody speaks TLS", async () => {
      const mute = await serve(createServer((socket) => socket.on("error", () => undefined)));
      assert.deepEqual(await lookTls({ host, port: mute, days: 1, deadlineMs: 50, wallMs }), {
        ok: false,
        detail: "no answer within 0.05 s",
      });
      const plain = await serve(createServer((socket) => socket.on("error", () => undefined).end("220 hello\r\n")));
      assert.equal((await lookTls({ host, port: plain, days: 1, deadlineMs, wallMs })).ok, false);
    });
  });

  describe("ping", () => {
    const program = async (name: string, script: string): Promise<string> => {
      const file = join(folder, name);
      await writeFile(file, `#!/bin/sh\n${script}\n`);
      await chmod(file, 0o755);
      return file;
    };

    it("reads what the program says", async () => {
      const file = await program("pings", 'echo "64 bytes from $6: icmp_seq=1 ttl=64 time=0.043 ms ($*)"');
      assert.deepEqual(await lookPing({ host, deadlineMs: 4500, program: file }), {
        ok: true,
        detail: "answered in 0.043 ms",
      });
      const args = await program("args", '[ "$*" = "-n -c 1 -w 5 ::1" ]');
      assert.deepEqual(await lookPing({ host: "::1", deadlineMs: 4500, program: args }), {
        ok: true,
        detail: "answered",
      });
      assert.deepEqual(await lookPing({ host, deadlineMs, program: await program("lost", "exit 1") }), {
        ok: false,
        detail: "no echo",
      });
      assert.match(
        (await lookPing({ host, deadlineMs, program: await program("bad", "exit 2") })).detail,
        /ping failed/,
      );
    });

    it("kills one that hangs, and says when there is none", async () => {
      const pidFile = join(folder, "pid");
      const script = `echo $$ > ${pidFile}.new && mv ${pidFile}.new ${pidFile} && exec sleep 600`;
      const stop = new AbortController();
      const look = lookPing({ host, deadlineMs, program: await program("hangs", script), stop: stop.signal });
      await until(() => existsSync(pidFile));
      const pid = Number(await readFile(pidFile, "utf8"));
      stop.abort();
      assert.deepEqual(await look, { ok: false, detail: "stopped" });
      await until(() => !existsSync(`/proc/${String(pid)}`));
      assert.match(
        (await lookPing({ host, deadlineMs, program: join(folder, "none") })).detail,
        /install iputils-ping/,
      );
    });

    it("works with the system's own", async function () {
      const found = (process.env.PATH ?? "").split(delimiter).some((one) => existsSync(join(one, "ping")));
      if (!found) skip(this, "no ping on this machine: install iputils-ping");
      const finding = await lookPing({ host, deadlineMs: 10_000 });
      // A container may not be allowed to send at all.
      if (!finding.detail.startsWith("ping failed")) assert.equal(finding.ok, true, finding.detail);
    });
  });

  it("takes the look that each kind of watchdog needs, with its authority from a file", async () => {
    const pems = await generate([{ name: "commonName", value: "x" }], {
      keyType: "ec",
      extensions: [{ name: "subjectAltName", altNames: [{ type: 7, ip: host }] }],
    });
    const caFile = join(folder, "ca.pem");
    await writeFile(caFile, pems.cert);
    const port = await serve(
      createTls({ key: pems.private, cert: pems.cert }, (socket) => socket.on("error", () => undefined)),
    );
    const common = { everySec: 60, deadlineSec: 30, failures: 1, successes: 1, address: { host, port } };
    const configs = [
      { ...common, name: "tls", type: "tls" as const, days: 1, caFile },
      { ...common, name: "tcp", type: "tcp" as const },
    ];
    const look = await openLooks(configs, Date.now, new AbortController().signal);
    for (const config of configs) assert.equal((await look(config)).ok, true, config.name);
    await assert.rejects(
      openLooks(
        [{ ...common, name: "tls", type: "tls", days: 1, caFile: "/nowhere" }],
        Date.now,
        new AbortController().signal,
      ),
      /ENOENT/,
    );
  });
});
