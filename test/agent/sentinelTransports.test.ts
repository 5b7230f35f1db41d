/** How the Sentinel speaks to runners, and who may speak to it: SSH, webhooks, and what an answer means. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { chmod, stat, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import ssh2 from "ssh2";
import type { SignalAsked } from "../../runtime-agent/src/sentinel/loop.ts";
import { signalKey } from "../../components/shared/signals/protocol.ts";
import { signWebhook, verifyWebhook, firstWebhookSecret } from "../../components/shared/signals/webhooks.ts";
import type { AgentRecord, Run } from "../../runtime-agent/src/sentinel/core/types.ts";
import { startHooks } from "../../runtime-agent/src/sentinel/hooks.ts";
import { createRunnerClient, readAnswer, signedSignal } from "../../runtime-agent/src/sentinel/runnerClient.ts";
import { ownSshKey, readSshKey } from "../../runtime-agent/src/sentinel/ownSshKey.ts";
import { sshTransport } from "../../runtime-agent/src/sentinel/sshTransport.ts";
import { newSshKeyPair } from "../../runtime-agent/src/shared/sshKeyPair.ts";
import { temporaryFolder } from "../support/agentChild.ts";
import { freePort } from "../../lab/host/freePort.ts";
import { until } from "../support/sentinelDaemon.ts";
import { reportOf } from "../support/sentinelModel.ts";

const runId = `run_${"0".repeat(32)}`;
const run: Run = {
  ...{ runId, agent: "ghost", key: "k1", digest: "d".repeat(64), acceptedMs: 0, order: 1, phase: "waiting" },
  ...{ attempts: 3, sentSec: 1_700_000_000, doubts: 1 },
};
const agent: AgentRecord = {
  ...{ name: "ghost", kind: "browser-light", size: "S", mode: "job", idempotent: false, createdMs: 0 },
  ...{ expiresMs: 1, id: "", key: "ab".repeat(32), life: 1, registerBeforeMs: 1 },
};

describe("Sentinel: signals to runners", () => {
  it("signs the same bytes at each try", () => {
    const [one, two] = [
      signedSignal(run, agent, '{"b":1,"a":2}'),
      signedSignal({ ...run, sentSec: 1_700_000_009 }, agent, '{"b":1,"a":2}'),
    ];
    assert.equal(one.body, two.body);
    assert.deepEqual(JSON.parse(one.body), { type: "run", agent: "ghost", runId, payload: { b: 1, a: 2 } });
    const secrets = [firstWebhookSecret(Buffer.from(agent.key, "hex"))];
    const verdict = verifyWebhook({ ...two.headers }, two.body, secrets, 1_700_000_010);
    assert.deepEqual(verdict, { ok: true, id: "k1", timestampSec: 1_700_000_009 });
  });

  it("knows what an answer means: taken, not now, never, or nobody knows", () => {
    const kinds = [200, 202, 401, 503, 410, 400, 409, 413, 500].map(
      (status) => readAnswer({ status, text: JSON.stringify(reportOf(runId, "queued")) }, runId).kind,
    );
    assert.deepEqual(kinds, ["taken", "taken", "unknown", "later", "later", "never", "never", "never", "unknown"]);
    assert.equal(readAnswer({ status: 200, text: "<html>" }, runId).kind, "unknown");
    assert.equal(readAnswer({ status: 200, text: JSON.stringify(reportOf("run_1", "queued")) }, runId).kind, "unknown");
    const other = JSON.stringify(reportOf(`run_${"1".repeat(32)}`, "queued"));
    assert.equal(readAnswer({ status: 200, text: other }, runId).kind, "never");
  });

  it("takes a refused connection for one that nobody read", async () => {
    const client = createRunnerClient({ deadlineMs: 5000 });
    const address = { host: "127.0.0.1", port: await freePort() };
    assert.equal((await client.deliver(run, { ...agent, address }, "1")).kind, "later");
    assert.equal((await client.deliver(run, agent, "1")).kind, "unknown");
    assert.equal((await client.ask(runId, { ...agent, address })).kind, "nothing");
    client.close();
  });

  it("go by SSH where the runner says so, with a fixed command, to the host key that it told alone", async () => {
    await using place = await temporaryFolder();
    const [host, user] = [ssh2.utils.generateKeyPairSync("ed25519"), ssh2.utils.generateKeyPairSync("ed25519")];
    const commands: string[] = [];
    const inputs: string[] = [];
    const server = new ssh2.Server({ hostKeys: [host.private] }, (connection) => {
      connection.on("error", () => undefined);
      connection.on("authentication", (context) => {
        if (context.method === "publickey" && context.username === "hive") context.accept();
        else context.reject(["publickey"]);
      });
      connection.on("session", (accept) =>
        accept().on("exec", (acceptExec, _reject, { command }) => {
          const channel = acceptExec();
          commands.push(command);
          let input = "";
          channel.on("data", (chunk: Buffer) => (input += chunk.toString()));
          channel.on("end", () => {
            inputs.push(input);
            channel.write(`${JSON.stringify({ status: 202, answer: reportOf(runId, "queued") })}\n`);
            channel.exit(0);
            channel.end();
          });
        }),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    try {
      const file = join(place.folder, "key");
      await writeFile(file, user.private, { mode: 0o600 });
      const { privateKey, publicKey } = await readSshKey(file);
      assert.equal(publicKey, user.public.trim());
      await chmod(file, 0o644);
      await assert.rejects(readSshKey(file), /others can read it/);
      const tries: string[] = [];
      const client = createRunnerClient({
        deadlineMs: 10_000,
        ssh: sshTransport(privateKey, 10_000),
        onTry: (_agent, transport, outcome) => tries.push(`${transport} ${outcome}`),
      });
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      const ssh = { host: "127.0.0.1", port, user: "hive", hostKey: host.public };
      const told = { instance: "1".repeat(32), address: { host: "127.0.0.1", port: 9 }, idempotent: false };
      const by = (way: typeof ssh | undefined): AgentRecord => ({
        ...agent,
        registered: { ...told, version: "1.0.0", atMs: 0, ...(way === undefined ? {} : { ssh: way }) },
      });
      assert.equal((await client.deliver(run, by(ssh), "1")).kind, "taken");
      assert.equal((await client.deliver(run, by({ ...ssh, hostKey: user.public }), "1")).kind, "unknown");
      assert.equal((await client.deliver(run, agent, "1")).kind, "unknown");
      assert.deepEqual(tries, ["ssh taken", "ssh unknown", "http unknown"]);
      assert.deepEqual(commands, ["hive-agent signal --name ghost"]);
      assert.deepEqual(inputs, [`${JSON.stringify(signedSignal(run, agent, "1"))}\n`]);
    } finally {
      server.close();
    }
  });
});

describe("Sentinel: a server that takes a connection and never ends it", () => {
  it("holds no socket of the Sentinel's past the deadline", async () => {
    const own = newSshKeyPair();
    const host = newSshKeyPair();
    const closing: (() => unknown)[] = [];
    const server = new ssh2.Server({ hostKeys: [host.privateKey] }, (connection) => {
      connection.on("error", () => undefined);
      connection.on("authentication", (context) => context.accept());
      connection.on("session", (accept) => accept().on("exec", (acceptExec) => void acceptExec()));
    });
    const silent = createTcpServer({ allowHalfOpen: true }, (socket) => {
      closing.push(socket.destroy.bind(socket));
      socket.on("error", () => undefined);
      socket.end = () => socket;
      socket.destroy = () => socket;
      server.injectSocket(socket);
    });
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", () => resolve()));
    const sockets = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length - closing.length;
    try {
      const before = sockets();
      const address = silent.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      const target = { host: "127.0.0.1", port, user: "x", hostKey: host.publicKey };
      const ask = sshTransport(own.privateKey, 700);
      await assert.rejects(ask(target, "ghost", { get: "/v1/runs/1" }), /within 700 ms/);
      await until(() => sockets() <= before, "its socket is closed");
    } finally {
      for (const close of closing) close();
      silent.close();
    }
  });
});

describe("Sentinel: its own SSH key", () => {
  it("is made once, readable by it alone, and of a form that others read", async () => {
    await using place = await temporaryFolder();
    const file = join(place.folder, "ssh", "id_ed25519");
    const made = await ownSshKey(file);
    assert.deepEqual(await ownSshKey(file), made);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    for (let round = 0; round < 300; round += 1) {
      const { privateKey, publicKey } = round === 0 ? made : newSshKeyPair();
      const parsed = ssh2.utils.parseKey(privateKey);
      assert.ok(!(parsed instanceof Error));
      assert.equal(`${parsed.type} ${parsed.getPublicSSH().toString("base64")}`, publicKey);
      const shown = ssh2.utils.parseKey(publicKey);
      assert.ok(!(shown instanceof Error));
      assert.equal(shown.verify("text", parsed.sign("text")), true);
    }
    await chmod(file, 0o644);
    await assert.rejects(ownSshKey(file), /others can read it/);
  });
});

describe("Sentinel: webhooks", () => {
  const secret = firstWebhookSecret(Buffer.alloc(32, 7));
  const asked: SignalAsked[] = [];
  const nowSec = 1_700_000_000;

  async function post(port: number, path: string, body: string, headers: object): Promise<number> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        { host: "127.0.0.1", port, path, method: "POST", headers: { ...headers } },
        (incoming) => {
          incoming.resume();
          resolve(incoming.statusCode ?? 0);
        },
      );
      outgoing.on("error", reject);
      outgoing.end(body);
    });
  }

  it("are heard through any number of connections that say nothing: the oldest makes room", async () => {
    await using place = await temporaryFolder();
    const secretFile = join(place.folder, "shop");
    await writeFile(secretFile, `${secret}\n`, { mode: 0o600 });
    const hooks = await startHooks({
      ...{ hooks: [{ name: "shop", agent: "ghost", secretFile }], watchdogs: [] },
      ...{ listen: { host: "127.0.0.1", port: 0 }, beat: () => false, monotonicMs: () => 0 },
      loop: { signal: () => Promise.resolve({ status: 202, json: { runId, state: "waiting" } }) },
      wallMs: () => nowSec * 1000,
      onError: (error) => assert.fail(String(error)),
    });
    const silent = Array.from({ length: 64 }, () => connect(hooks.port, "127.0.0.1").on("error", () => undefined));
    try {
      await Promise.all(silent.map((socket) => once(socket, "connect")));
      for (const id of ["m1", "m2", "m3"])
        assert.equal(await post(hooks.port, "/hooks/shop", "1", signWebhook(id, nowSec, "1", secret)), 202);
    } finally {
      for (const socket of silent) socket.destroy();
      await hooks.close();
    }
  });

  it("asks for a run by a signed webhook alone; its name and id are the key", async () => {
    await using place = await temporaryFolder();
    const secretFile = join(place.folder, "shop");
    await writeFile(secretFile, `${secret}\n`, { mode: 0o600 });
    const callers = { hooks: [{ name: "shop", agent: "ghost", secretFile }], watchdogs: [] };
    const hooks = await startHooks({
      ...callers,
      listen: { host: "127.0.0.1", port: 0 },
      beat: () => false,
      monotonicMs: () => 0,
      loop: {
        signal(given) {
          asked.push(given);
          return Promise.resolve({ status: 202, json: { runId, state: "waiting" } });
        },
      },
      wallMs: () => nowSec * 1000,
      onError: (error) => assert.fail(String(error)),
    });
    try {
      const body = '{"order":17}';
      const good = signWebhook("msg_1", nowSec, body, secret);
      const other = firstWebhookSecret(Buffer.alloc(32, 8));
      const send = (path: string, text: string, headers: object) => post(hooks.port, path, text, headers);
      assert.deepEqual(
        [
          await send("/hooks/shop", body, good),
          await send("/hooks/nothing", body, good),
          await send("/hooks/shop", body, {}),
          await send("/hooks/shop", '{"order":18}', good),
          await send("/hooks/shop", body, signWebhook("msg_1", nowSec, body, other)),
          await send("/hooks/shop", body, signWebhook("msg_1", nowSec - 301, body, secret)),
          await send("/hooks/shop", body, signWebhook("a.b", nowSec, body, secret)),
          await send("/hooks/shop", "{", signWebhook("msg_2", nowSec, "{", secret)),
        ],
        [202, 401, 401, 401, 401, 401, 400, 400],
      );
      const large = JSON.stringify("x".repeat(300 * 1024));
      assert.equal(await send("/hooks/shop", large, signWebhook("msg_3", nowSec, large, secret)), 413);
      // Two senders may use the same ids for the same agent; the longest key is a runner's as well.
      const longest = "m".repeat(200 - "hook:shop:".length);
      assert.equal(await send("/hooks/shop", body, signWebhook(longest, nowSec, body, secret)), 202);
      assert.equal(await send("/hooks/shop", body, signWebhook(`${longest}m`, nowSec, body, secret)), 400);
      assert.deepEqual(
        asked,
        ["msg_1", longest].map((id) => ({ agent: "ghost", key: `hook:shop:${id}`, payload: { order: 17 } })),
      );
      for (const { key } of asked) assert.ok(signalKey.safeParse(key).success);
      // A change of secret: both are good for a while; a file that cannot be read changes nothing.
      await writeFile(secretFile, `${other}\n${secret}\n`);
      (await hooks.prepare(callers))();
      for (const one of [secret, other])
        assert.equal(await send("/hooks/shop", body, signWebhook("msg_4", nowSec, body, one)), 202);
      await writeFile(secretFile, "none");
      await assert.rejects(hooks.prepare(callers), /is not one or two secrets/);
      assert.equal(await send("/hooks/shop", body, signWebhook("msg_5", nowSec, body, other)), 202);
    } finally {
      await hooks.close();
    }
  });
});
