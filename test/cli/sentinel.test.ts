// How the command line comes to the Sentinel: the real role beside a lab, its local API, and the way through SSH.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ssh2 from "ssh2";
import { readGone, rememberGone, settleGone } from "../../cli/agents/gone.ts";
import { healthCheck } from "../../cli/doctor/sentinel.ts";
import { CommandFailure } from "../../cli/output/failure.ts";
import { sentinelOn, type NewAgent } from "../../cli/sentinel/client.ts";
import { endSentinel } from "../../cli/sentinel/endSentinel.ts";
import { type FoundSentinel, findSentinel, sentinelFolder } from "../../cli/sentinel/folder.ts";
import { joined } from "../../cli/sentinel/labNetwork.ts";
import { labLine, labSentinel } from "../../cli/sentinel/labSentinel.ts";
import { SentinelUnreachable } from "../../cli/sentinel/line.ts";
import { serverOf } from "../../cli/sentinel/server.ts";
import { openSshLine, type SentinelServer } from "../../cli/sentinel/sshLine.ts";
import { isAlive } from "../../lab/keeper/folder.ts";
import { skip } from "../run/skip.ts";

const listen = { host: "127.0.0.1", port: 0 };
const ghost: NewAgent = {
  ...{ name: "ghost", kind: "browser-light", size: "S", ttlSec: 3600, mode: "job", idempotent: false },
  provider: { kind: "proxmox", id: "399" },
};

describe("the Sentinel beside the lab", function () {
  this.timeout(120_000);
  let state: string;
  let found: FoundSentinel;

  before(async function () {
    if (process.platform !== "linux") skip(this, "the Sentinel runs on Linux");
    state = mkdtempSync(join(tmpdir(), "hive-sentinel-"));
    found = await labSentinel(state, listen);
  });
  after(async () => {
    await endSentinel(state);
    rmSync(state, { recursive: true, force: true });
  });

  it("runs once, whoever asks for it, and keeps what it has to itself", async () => {
    const all = await Promise.all([labSentinel(state, listen), labSentinel(state, listen)]);
    assert.deepEqual(
      all.map(({ pid }) => pid),
      [found.pid, found.pid],
    );
    const folder = sentinelFolder(state);
    for (const name of readdirSync(folder.root)) assert.equal(statSync(join(folder.root, name)).mode & 0o077, 0, name);
    const answer = await labLine(found).call({ method: "GET", path: "/health" });
    assert.equal(healthCheck("here", answer).ok, true);
  });

  it("mints one key for one order, and takes signals by their keys", async () => {
    const sentinel = sentinelOn(labLine(found));
    const first = await sentinel.register(ghost);
    assert.equal((await sentinel.register(ghost)).key, first.key, "who asked may have died before he heard the answer");
    await assert.rejects(
      sentinel.register({ ...ghost, size: "M" }),
      /refuses: there is an agent of this name.*Destroy it/,
    );
    await assert.rejects(sentinel.register({ ...ghost, name: "x", size: "XS" }), /size: .*allowed: .*Write S/);
    const agent = await sentinel.agent("ghost");
    assert.deepEqual([agent?.alive, agent?.registered, agent?.provider?.id], [false, undefined, "399"]);
    assert.ok(!JSON.stringify(agent).includes(first.key));
    const asked = await sentinel.signal("ghost", "a:1", { page: 1 });
    assert.deepEqual(await sentinel.signal("ghost", "a:1", { page: 1 }), asked);
    await assert.rejects(sentinel.signal("ghost", "a:1", { page: 2 }), /another payload/);
    const later = await sentinel.signal("ghost", "a:2", null);
    assert.deepEqual(
      (await sentinel.runs("ghost")).map(({ runId }) => runId),
      [later.runId, asked.runId],
      "newest first",
    );
    assert.equal((await sentinel.run(asked.runId))?.state, "waiting");
    assert.deepEqual(await sentinel.log(asked.runId, 0), { text: "", next: 0, end: false });
    assert.equal(await sentinel.run(`run_${"0".repeat(32)}`), undefined);
    await sentinel.renew("ghost", 7200);
    await sentinel.resize("ghost", "M");
    assert.equal((await sentinel.agent("ghost"))?.size, "M");
    const elsewhere = { kind: "lightsail", id: "agent-ghost" } as const;
    assert.notEqual((await sentinel.mint("ghost", elsewhere)).key, first.key);
    assert.deepEqual(
      (await sentinel.registration("ghost"))?.provider,
      elsewhere,
      "it has no server: its place is this one",
    );
    assert.equal(await sentinel.remove("ghost"), true);
    assert.equal(await sentinel.remove("ghost"), false);
    assert.equal(await sentinel.agent("ghost"), undefined);
    await assert.rejects(sentinel.renew("ghost", 60), CommandFailure);
  });

  it("is told of an agent that was destroyed without it, and only of that one", async () => {
    const before = process.env["HIVE_STATE_DIR"];
    process.env["HIVE_STATE_DIR"] = join(state, "other");
    try {
      const sentinel = sentinelOn(labLine(found));
      const gone = await sentinel.register({ ...ghost, name: "gone" });
      const earlier = await sentinel.register({ ...ghost, name: "again" });
      assert.equal(await sentinel.remove("again", gone.id), false);
      assert.equal(await sentinel.remove("again", earlier.id), true);
      const later = await sentinel.register({ ...ghost, name: "again" });
      assert.notEqual(later.id, earlier.id);
      // Whatever the clocks say: the later one may have come before the earlier one was destroyed, by ours.
      rememberGone("lab", { name: "gone", id: gone.id });
      rememberGone("lab", { name: "again", id: earlier.id });
      const silent = { remove: () => Promise.reject(new SentinelUnreachable("silent")) };
      await assert.rejects(settleGone("lab", silent), SentinelUnreachable);
      assert.equal(readGone("lab").length, 2);
      assert.deepEqual(await settleGone("lab", sentinel), ["gone"]);
      assert.deepEqual(readGone("lab"), []);
      assert.equal(await sentinel.agent("gone"), undefined);
      assert.equal((await sentinel.registration("again"))?.id, later.id, "a later one of the same name");
    } finally {
      if (before === undefined) delete process.env["HIVE_STATE_DIR"];
      else process.env["HIVE_STATE_DIR"] = before;
    }
  });

  it("is reached through SSH without a port of its own, by a server with the known key alone", async () => {
    await withSshServer(found.runtime, async (server) => {
      const line = await openSshLine(server, "/sentinel");
      try {
        const sentinel = sentinelOn(line);
        await sentinel.register({ ...ghost, name: "far" });
        assert.deepEqual((await sentinel.agent("far"))?.name, "far");
        assert.equal(await sentinel.remove("far"), true);
      } finally {
        line.close();
      }
      const { public: other } = ssh2.utils.generateKeyPairSync("ed25519");
      await assert.rejects(
        openSshLine({ ...server, hostKey: other }, "/sentinel"),
        /another host key.*Run: hive doctor/,
      );
      const { private: stranger } = ssh2.utils.generateKeyPairSync("ed25519");
      await assert.rejects(openSshLine({ ...server, privateKey: stranger }, "/sentinel"), SentinelUnreachable);
      await assert.rejects(openSshLine(server, "/nowhere"), /cannot be read there/);
    });
  });

  it("says that it does not answer, when it does not", async () => {
    const nobody = labLine({ runtime: join(state, "nowhere") });
    await assert.rejects(nobody.call({ method: "GET", path: "/agents" }), SentinelUnreachable);
  });

  it("is ended with its lab, and its state comes back", async () => {
    await sentinelOn(labLine(found)).register({ ...ghost, name: "kept" });
    assert.equal(await endSentinel(state), true);
    assert.equal(isAlive(found), false);
    assert.equal(findSentinel(sentinelFolder(state)), undefined);
    assert.equal(await endSentinel(state), false);
    found = await labSentinel(state, listen);
    assert.notEqual(await sentinelOn(labLine(found)).agent("kept"), undefined);
  });
});

describe("the Sentinel, without one", () => {
  it("shares the lab's network with what others let through", () => {
    const before = { open: [{ machine: "agent-x", port: 8943 }], reach: [{ from: "a", to: "b", port: 1 }] };
    const after = joined(before, 9000);
    assert.deepEqual(after?.open, [...before.open, { port: 8943 }]);
    assert.deepEqual(after?.reach, [...before.reach, { to: "outside", port: 9000 }]);
    assert.equal(joined(after, 9000), undefined);
  });

  it("is found by its stack's outputs, never without its host key", () => {
    const config = { "hive:sshPrivateKey": { value: "KEY" } };
    const sentinel = { host: "203.0.113.7", port: 22, user: "admin", runnersPort: 8944 };
    assert.throws(() => serverOf(config, {}, "hive"), /hive up sentinel/);
    assert.throws(() => serverOf(config, { sentinel }, "hive"), /hive:connect.hostKey/);
    assert.throws(
      () => serverOf({}, { sentinel: { ...sentinel, hostKey: "ssh-ed25519 AAAA" } }, "hive"),
      /sshPrivateKey/,
    );
    const found = serverOf(config, { sentinel: { ...sentinel, hostKey: "ssh-ed25519 AAAA" } }, "hive");
    assert.deepEqual([found.host, found.port, found.user, found.privateKey], ["203.0.113.7", 22, "admin", "KEY"]);
  });

  it("of another release, or ill, fails the doctor with a fix", () => {
    const ill = healthCheck("there", { status: 503, json: { healthy: false, unhealthy: ["the disk is full"] } });
    assert.match(ill.found, /the disk is full/);
    for (const check of [ill, healthCheck("there", { status: 404, json: {} })])
      assert.deepEqual([check.ok, check.fix !== undefined], [false, true]);
  });
});

/** An SSH server that lets one key in, runs `cat` on `/sentinel/*`, and forwards to the socket there, as OpenSSH does. */
async function withSshServer(runtime: string, work: (server: SentinelServer) => Promise<void>): Promise<void> {
  const host = ssh2.utils.generateKeyPairSync("ed25519");
  const client = ssh2.utils.generateKeyPairSync("ed25519");
  const allowed = parsedKey(client.public).getPublicSSH();
  const real = (path: string): string => path.replace(/^\/sentinel\//, `${runtime}/`);
  const server = new ssh2.Server({ hostKeys: [host.private] }, (connection) => {
    connection.on("error", () => undefined);
    connection.on("authentication", (context) => {
      if (context.method === "publickey" && context.key.data.equals(allowed)) context.accept();
      else context.reject(["publickey"]);
    });
    connection.on("ready", () => {
      connection.on("session", (accept) => {
        accept().on("exec", (acceptExec, _reject, { command }) => {
          const channel = acceptExec();
          const file = /^cat (\/sentinel\/[\w.]+)$/.exec(command)?.[1];
          if (file !== undefined) channel.write(readFileSync(real(file)));
          channel.exit(file === undefined ? 1 : 0);
          channel.end();
        });
      });
      connection.on("openssh.streamlocal", (accept, _reject, { socketPath }) => {
        const channel = accept();
        const socket = connect(real(socketPath));
        socket.on("error", () => channel.end());
        channel.on("error", () => socket.destroy());
        channel.pipe(socket).pipe(channel);
      });
    });
  });
  await new Promise<void>((done) => {
    server.listen(0, "127.0.0.1", () => {
      done();
    });
  });
  try {
    const at = server.address();
    assert.ok(typeof at === "object" && at !== null);
    await work({ host: "127.0.0.1", port: at.port, user: "root", privateKey: client.private, hostKey: host.public });
  } finally {
    server.close();
  }
}

function parsedKey(text: string): ssh2.ParsedKey {
  const parsed = ssh2.utils.parseKey(text);
  assert.ok(!(parsed instanceof Error));
  return parsed;
}
