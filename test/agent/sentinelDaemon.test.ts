import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { testSeed } from "../run/seed.ts";
import { keyId } from "../../runtime-agent/src/shared/pskTls.ts";
import { mostPayloadBytes } from "../../components/shared/signals/protocol.ts";
import type { AgentProgram } from "../support/arbiterDaemon.ts";
import { buildAgent } from "../support/arbiterDaemon.ts";
import type { FakeRunner } from "../support/fakeRunner.ts";
import { fakeRunner } from "../support/fakeRunner.ts";
import { seededRandom } from "../support/seeded.ts";
import { SentinelSite, until } from "../support/sentinelDaemon.ts";

describe("Sentinel: the daemon", () => {
  let program: AgentProgram;
  let site: SentinelSite;
  const runners: FakeRunner[] = [];
  const runner = async (name: string, key: string): Promise<FakeRunner> => {
    const made = await fakeRunner(name, key, site.port);
    runners.push(made);
    return made;
  };

  before(async () => {
    program = await buildAgent();
  });
  after(() => program.remove());
  afterEach(async () => {
    await Promise.all(runners.splice(0).map((one) => one.kill()));
    await site.close();
  });

  it("registers an agent once, delivers a signal, keeps its result, and shows all of it without the key", async () => {
    site = await SentinelSite.open(program);
    const daemon = await site.start();
    const key = await site.newAgent("ghost");
    const ghost = await runner("ghost", key);
    assert.equal(await ghost.up(true), 200);
    const second = await runner("ghost", key);
    assert.equal(await second.post("/v1/register", { instance: "0".repeat(32) }), 400);
    assert.equal(await second.up(true), 409);
    await second.kill();
    // Whoever has no key of the registry does not get past the handshake.
    await assert.rejects((await runner("nobody", key)).post("/v1/heartbeat", {}));

    const payload = { url: "https://example.org/", note: "é".repeat(3000) };
    const sent = await site.call("POST", "/agents/ghost/signals", { key: "first", payload });
    assert.deepEqual([sent.status, sent.json.state], [202, "waiting"]);
    const path = `/runs/${String(sent.json.runId)}`;
    await until(async () => (await site.call("GET", path)).json.state === "completed", "the result");
    assert.deepEqual(ghost.payloads.get("first"), payload);
    const { report } = (await site.call("GET", path)).json;
    assert.deepEqual(Reflect.get(Object(report), "result"), { did: sent.json.runId });
    assert.equal((await site.call("GET", `${path}/log?from=0`)).json.text, "hello");
    const again = await site.call("POST", "/agents/ghost/signals", { key: "first", payload });
    assert.deepEqual([again.status, again.json], [200, { runId: sent.json.runId, state: "completed" }]);
    assert.equal((await site.call("POST", "/agents/ghost/signals", { key: "first", payload: 1 })).status, 409);

    for (const [body, property] of [
      [{ key: "a.b", payload: 1 }, "key"],
      [{ key: "a" }, "payload"],
    ] as const) {
      const refused = await site.call("POST", "/agents/ghost/signals", body);
      assert.deepEqual([refused.status, refused.json.property], [400, property]);
    }
    for (const [payload, status] of [
      [JSON.parse("[".repeat(200) + "]".repeat(200)), 400],
      ["x".repeat(mostPayloadBytes - 1), 413],
    ] as const)
      assert.equal((await site.call("POST", "/agents/ghost/signals", { key: "unfit", payload })).status, status);
    const small = { name: "small", kind: "browser-heavy", size: "XS", ttlSec: 3600 };
    assert.equal((await site.call("POST", "/agents", small)).json.limit, "M for browser-heavy");
    const shown = JSON.stringify([
      (await site.call("GET", "/agents")).json,
      (await site.call("GET", "/agents/ghost/runs")).json,
      (await site.call("GET", "/status")).json,
    ]);
    assert.ok(shown.includes('"alive"') && !shown.includes(key));
    assert.match(
      String((await site.call("GET", "/metrics")).json.text),
      /hive_sentinel_hand_over_seconds_count\{.*\} 1\n/,
    );
    assert.ok(!daemon.log.includes(key));

    const brief = await runner("brief", await site.newAgent("brief"));
    assert.equal(await brief.up(), 200);
    const farewell = { instance: brief.instance, reason: "destroyed" };
    assert.equal(await brief.post("/v1/farewell", farewell), 204);
    assert.equal((await site.call("GET", "/agents/brief")).status, 404);
    await assert.rejects(brief.post("/v1/farewell", farewell));

    assert.equal((await site.call("DELETE", "/agents/ghost")).status, 204);
    await assert.rejects(ghost.post("/v1/heartbeat", {}));
    assert.equal((await site.call("DELETE", "/agents/ghost")).status, 404);
    assert.deepEqual(ghost.faults, []);
    const other = await site.start();
    assert.equal(await other.ended, 75);
    assert.match(other.log, /another agent runs/);
  });

  it("lets another server take an agent's place by a key of its own, and the older one serves until then", async () => {
    site = await SentinelSite.open(program);
    await site.start();
    const first = await site.newAgent("ghost");
    const old = await runner("ghost", first);
    assert.equal(await old.up(true), 200);
    const mint = async (): Promise<string> => String((await site.call("POST", "/agents/ghost/registration")).json.key);
    const unused = await mint();
    const { json: shown } = await site.call("GET", "/agents/ghost");
    assert.ok(!JSON.stringify(shown).includes(unused) && !JSON.stringify(shown).includes(first));
    assert.deepEqual([shown.alive, shown.keyId], [true, keyId(Buffer.from(first, "hex"))]);
    const second = await mint();
    // Crash-safe: what was minted is on the disk.
    site.kill();
    await site.start();
    const beat = { instance: old.instance, ready: true, running: null, queued: 0, crashLoop: false };
    assert.equal(await old.post("/v1/heartbeat", beat), 200);
    await assert.rejects((await runner("ghost", unused)).post("/v1/heartbeat", {}), "a later one took its place");
    const next = await runner("ghost", second);
    assert.equal(await next.post("/v1/heartbeat", { ...beat, instance: next.instance }), 404, "not registered yet");
    assert.equal(await next.up(true), 200);
    await assert.rejects(old.post("/v1/heartbeat", beat), "its key is void");
    site.kill();
    await site.start();
    await assert.rejects(old.post("/v1/heartbeat", beat));
    assert.equal(await (await runner("ghost", second)).up(true), 409);
    const sent = await site.call("POST", "/agents/ghost/signals", { key: "first", payload: 1 });
    const path = `/runs/${String(sent.json.runId)}`;
    await until(async () => (await site.call("GET", path)).json.state === "completed", "the result");
    assert.deepEqual([next.begun, old.begun], [[sent.json.runId], []]);
  });

  it("keeps what waits while a runner is away, and its promises to a lossy one", async () => {
    site = await SentinelSite.open(program);
    await site.start();
    const ghost = await runner("ghost", await site.newAgent("ghost"));
    const ids = new Map<string, unknown>();
    for (let n = 0; n < 20; n += 1) {
      const { json } = await site.call("POST", "/agents/ghost/signals", { key: `k${String(n)}`, payload: n });
      ids.set(`k${String(n)}`, json.runId);
    }
    ghost.lossy = true;
    assert.equal(await ghost.up(true), 200);
    await until(() => ghost.begun.length >= 1, "one is taken");
    ghost.lossy = false;
    await until(() => ghost.begun.length === 20, "all are done");
    assert.deepEqual(ghost.begun, [...ids.values()]);
    assert.deepEqual(ghost.faults, []);
  });

  it("refuses what it cannot journal, says so, and goes on by itself", async () => {
    site = await SentinelSite.open(program);
    await site.start("sentinel.before-journal=error:9-11");
    await site.newAgent("ghost");
    const send = (n: number) => site.call("POST", "/agents/ghost/signals", { key: `k${String(n)}`, payload: n });
    // Decided, and not answered before it is on the disk.
    const decided: Promise<unknown>[] = [];
    await until(async () => {
      decided.push(send(decided.length).then(({ status }) => assert.ok(status === 202 || status === 503)));
      return (await site.call("GET", "/health")).status === 503;
    }, "unhealthy");
    assert.match(JSON.stringify((await site.call("GET", "/status")).json.unhealthy), /nothing can be journaled/);
    assert.equal((await send(1000)).status, 503);
    await Promise.all(decided);
    await until(async () => (await site.call("GET", "/health")).status === 200, "healthy");
    const all = [...decided.keys()];
    for (const n of all) assert.ok([200, 202].includes((await send(n)).status));
    site.kill();
    await site.start();
    for (const n of all) assert.equal((await send(n)).status, 200);
  });

  it("holds the guarantee while either side is killed, at every failpoint and at random", async function () {
    this.timeout(120_000);
    const seed = testSeed();
    const random = seededRandom(seed);
    site = await SentinelSite.open(program, { history: { runs: 3 } });
    const failpoints = ["before-journal", "after-journal", "before-act", "after-act", "before-reply", "keys"];
    await site.start();
    const names = ["anna", "bert", "carl"];
    const team = new Map<string, FakeRunner>();
    for (const name of names) {
      const one = await runner(name, await site.newAgent(name));
      assert.equal(await one.up(true), 200);
      team.set(name, one);
    }
    const heard = new Map<string, Set<unknown>>();
    const ask = async (id: string): Promise<void> => {
      const [name = "", key = ""] = id.split("/");
      const body = { key, payload: { key, filler: "y".repeat(random() < 0.2 ? 5000 : 10) } };
      const known = bodies.get(id) ?? body;
      bodies.set(id, known);
      const answer = await site.call("POST", `/agents/${name}/signals`, known).catch(() => undefined);
      if (answer?.json.runId === undefined) return;
      heard.set(id, (heard.get(id) ?? new Set()).add(answer.json.runId));
    };
    const bodies = new Map<string, object>();
    let number = 0;
    const load = async (): Promise<void> => {
      const fresh = Array.from({ length: 4 }, () => `${names[(number += 1) % 3] ?? ""}/k${String(number)}`);
      const old = [...bodies.keys()].filter(() => random() < 0.1);
      await Promise.all([...fresh, ...old].map(ask));
    };

    site.kill();
    for (const name of failpoints) {
      // Keys are written but once a second.
      const at = name === "keys" ? 1 : 3 + Math.floor(random() * 8);
      const daemon = await site.start(`sentinel.${name}=kill:${String(at)}`);
      await until(
        async () => {
          if (!daemon.over) await load();
          const victim = team.get(names[Math.floor(random() * 3)] ?? "");
          if (random() < 0.2 && victim !== undefined) {
            await victim.kill();
            await victim.up();
          }
          return daemon.over;
        },
        `killed at ${name} (seed ${String(seed)})`,
      );
      assert.equal(await daemon.ended, "SIGKILL");
    }
    await site.start();
    // Whoever got no answer asks again with the same key.
    await until(async () => {
      await Promise.all([...bodies.keys()].filter((id) => !heard.has(id)).map(ask));
      return bodies.size === heard.size;
    }, "an answer for each");
    await until(
      async () => Reflect.get(Object((await site.call("GET", "/status")).json.signals), "open") === 0,
      "delivered",
    );
    const begun = (): Set<string> => new Set([...team.values()].flatMap((one) => one.begun));
    const ids = (): string[] => [...heard.values()].flatMap((set) => [...set].map(String));
    // Taken by their runners, and in their turn begun.
    await until(() => ids().every((id) => begun().has(id)), "begun");
    await until(async () => {
      await Promise.all([...bodies.keys()].map(ask));
      return [...team.values()].every((one) => new Set(one.begun).size === one.begun.length);
    }, "asked again");
    for (const [id, set] of heard) assert.equal(set.size, 1, `${id} (seed ${String(seed)})`);
    assert.equal(begun().size, heard.size);
    for (const one of team.values()) assert.deepEqual(one.faults, []);
    // The state stays small: three runs are remembered, and so many files.
    await until(async () => {
      const files = await readdir(join(site.folder, "state/bodies"));
      return files.length <= 3;
    }, "bodies are deleted");
  });
});
