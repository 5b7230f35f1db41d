import assert from "node:assert/strict";
import fc from "fast-check";
import type { News } from "../../runtime-agent/src/sentinel/extension.ts";
import { agent, hour, minute, second, Sentinel, start } from "../support/watchModel.ts";

describe("Sentinel, watch: as one extension of its loop", () => {
  let sentinel: Sentinel;
  beforeEach(async () => {
    sentinel = new Sentinel();
    await sentinel.begin();
  });

  it("tells once that something is down, and once that it is up again, also over a restart", async () => {
    await sentinel.run(5 * minute);
    assert.deepEqual(sentinel.read(), []);
    sentinel.finding = { ok: false, detail: "HTTP 503" };
    await sentinel.run(5 * minute);
    await sentinel.begin();
    await sentinel.run(5 * minute);
    assert.deepEqual(sentinel.read(), ["watchdog site: down: HTTP 503"]);
    sentinel.finding = { ok: true, detail: "HTTP 200" };
    await sentinel.run(5 * minute);
    assert.equal(sentinel.read().length, 2);
    assert.match(sentinel.read()[1] ?? "", /^watchdog site: up again after \d+ min: HTTP 200$/);
    assert.equal(sentinel.read("phone").length, 2);
  });

  it("misses a heartbeat after its period, and tells only whom it must", async () => {
    const beat = sentinel.watch.routes?.find(({ path }) => path.endsWith("/beat"));
    const call = (name: string) =>
      beat?.handle({
        caller: { role: "service" },
        query: new URLSearchParams(),
        params: { name },
        body: undefined,
        signal: new AbortController().signal,
      });
    await sentinel.turn();
    assert.deepEqual(call("backup"), { status: 202, json: { name: "backup" } });
    assert.throws(() => call("site"), /no such heartbeat/);
    await sentinel.run(55 * minute, minute);
    assert.deepEqual(sentinel.read(), []);
    await sentinel.run(10 * minute, minute);
    assert.match(sentinel.read()[0] ?? "", /^watchdog backup: down: nobody called for/);
    void call("backup");
    await sentinel.run(2 * minute, minute);
    assert.match(sentinel.read()[1] ?? "", /^watchdog backup: up again/);
    assert.deepEqual(sentinel.read("phone"), []);
  });

  it("watches the agents that it knows", async () => {
    sentinel.agents = [agent({ alive: false })];
    await sentinel.run(2 * minute);
    assert.deepEqual(sentinel.read(), [], "after its own start it waits for them");
    await sentinel.run(2 * minute);
    assert.deepEqual(sentinel.read(), ["agent shopper: down: not heard within its lease"]);
    sentinel.agents = [];
    await sentinel.run(minute);
    assert.equal(sentinel.read().length, 1, "who left is no problem, and not solved");
    assert.match(JSON.stringify(sentinel.watch.status()), /"down":\[\]/);
  });

  it("sends each instant of a schedule once, with its payload, again only while nobody has it", async () => {
    await sentinel.run(4 * minute + 50 * second);
    sentinel.status = 503;
    await sentinel.run(30 * second);
    assert.deepEqual(sentinel.signals, []);
    sentinel.status = 202;
    await sentinel.run(16 * minute);
    assert.deepEqual(
      sentinel.signals,
      ["05", "10", "15", "20"].map((at) => `schedule:tick:2026-11-23T12-${at}-00-000Z`),
    );
    await sentinel.begin();
    await sentinel.run(minute);
    assert.equal(sentinel.signals.length, 4);
    // What else it keeps is on the disk, the signal is not: after a restart it is asked for again.
    sentinel.signalStatus = 503;
    sentinel.finding = { ok: false, detail: "x" };
    await sentinel.run(3 * minute + 10 * second);
    sentinel.signalStatus = undefined;
    await sentinel.begin();
    await sentinel.turn();
    assert.equal(sentinel.signals.length, 5);
    await sentinel.turn(hour + 2 * minute);
    await sentinel.run(minute);
    assert.ok(
      sentinel.read().some((one) => one.startsWith("schedule tick: missed 12 times from 2026-11-23T12:30Z to")),
    );
    sentinel.status = 404;
    await sentinel.run(5 * minute);
    sentinel.status = 200;
    await sentinel.run(minute);
    assert.ok(sentinel.read().some((one) => one.endsWith("agent shopper does not take it")));
  });

  it("deletes what nobody answers for, after it said so, and reports the agent whose server is gone", async () => {
    const tags = (name: string) => ({ estate: "hive", agent: name, expiresSec: start / 1000 - 60 });
    sentinel.servers = ["shopper", "orphan"].map((name, n) => ({
      provider: "proxmox",
      id: String(800 + n),
      name,
      tags: tags(name),
    }));
    await sentinel.run(10 * minute);
    assert.deepEqual(sentinel.removed, ["801"]);
    assert.match(sentinel.read()[0] ?? "", /^server 801 at proxmox: will be deleted in 2 min or more \(agent orphan\)/);
    sentinel.agents = [agent({ handedOver: { why: "expired", atMs: start } })];
    await sentinel.run(10 * minute);
    assert.deepEqual(sentinel.removed, ["801", "800"]);
    assert.ok(sentinel.others.some((action) => action.kind === "reaped" && action.agent === "shopper"));
  });

  it("says of a server that is to be deleted where it has no credentials, until that is solved", async () => {
    const handedOver = { why: "expired", atMs: start } as const;
    const stranded = agent({ handedOver, provider: { kind: "lightsail", id: "agent-shopper" } });
    sentinel.agents = [stranded];
    await sentinel.run(5 * minute);
    const told = sentinel.read().filter((one) => one.startsWith("reaper at lightsail"));
    assert.equal(told.length, 1);
    assert.match(told[0] ?? "", /down: the servers of shopper .* no credentials for lightsail .*hive agent destroy/);
    assert.deepEqual(Reflect.get(Object(sentinel.watch.status()), "reaper").stranded, ["shopper"]);
    // A restart tells nobody again, and knows that it was solved meanwhile.
    await sentinel.begin();
    await sentinel.run(5 * minute);
    sentinel.agents = [agent()];
    await sentinel.begin();
    await sentinel.run(5 * minute);
    const after = sentinel.read().filter((one) => one.startsWith("reaper at lightsail"));
    assert.equal(after.length, 2);
    assert.match(after[1] ?? "", /up again/);
  });

  it("proposes the larger size after the second kill, and takes it back a week later", async () => {
    const heartbeat = (oomKill: number): News => ({
      kind: "heartbeat",
      agent: "shopper",
      heard: {
        atMs: sentinel.nowMs,
        heartbeat: {
          instance: "0".repeat(32),
          ready: true,
          running: null,
          queued: 0,
          memory: { high: 0, max: 9, oom: 1, oomKill },
          crashLoop: false,
        },
      },
    });
    for (const kills of [0, 1, 1, 2]) {
      sentinel.news = [heartbeat(kills)];
      await sentinel.turn(minute);
      await sentinel.begin();
    }
    await sentinel.run(minute);
    const proposal = { from: "S" as const, to: "M" as const, kills: 2 };
    const asked = { kind: "propose-size", agent: "shopper", proposal };
    assert.deepEqual(sentinel.others, [asked, asked], "once by each process, for the registry shows none yet");
    sentinel.agents = [agent({ proposal })];
    await sentinel.run(minute);
    assert.equal(sentinel.others.length, 2);
    assert.match(
      sentinel.read()[0] ?? "",
      /lacked memory 2 times in seven days: move it from S to M with: hive agent resize shopper$/,
    );
    sentinel.nowMs += 7 * 24 * hour;
    await sentinel.turn();
    assert.deepEqual(sentinel.others[2], { kind: "propose-size", agent: "shopper", proposal: undefined });
  });

  it("tells of dead letters, retries what nobody takes, and writes nothing while nothing happens", async () => {
    sentinel.open = false;
    sentinel.news = [{ kind: "dead-letter", agent: "shopper", runId: "run_1", reason: "no answer" }];
    await sentinel.run(2 * minute);
    assert.ok(sentinel.sent.length > 2);
    assert.match(JSON.stringify(sentinel.watch.status()), /"undelivered":\{"ops":"closed","phone":"closed"\}/);
    sentinel.open = true;
    await sentinel.run(2 * minute);
    assert.deepEqual(sentinel.read(), ["agent shopper: run_1 is a dead letter: no answer"]);
    const before = sentinel.disk;
    await sentinel.run(50 * second);
    assert.equal(sentinel.disk, before);
  });

  it("looks around a few times a second at most, and forgets nothing that it was told in between", async () => {
    await sentinel.turn();
    let agents = 0;
    const counted = new Proxy(sentinel.agents, { get: (list, key) => ((agents += 1), Reflect.get(list, key)) });
    sentinel.agents = counted;
    for (let n = 0; n < 100; n += 1) {
      if (n === 50) sentinel.news = [{ kind: "dead-letter", agent: "shopper", runId: "run_1", reason: "x" }];
      await sentinel.turn(1);
    }
    assert.equal(agents, 0);
    await sentinel.run(5 * second, second);
    assert.deepEqual(sentinel.read(), ["agent shopper: run_1 is a dead letter: x"]);
  });

  it("begins anew when what it kept cannot be read", async () => {
    sentinel.disk = { down: 5 };
    await sentinel.begin();
    await sentinel.run(6 * minute);
    assert.equal(sentinel.signals.length, 1);
  });

  const event = fc.record({
    passMs: fc.constantFrom(second, 20 * second, 61 * second, 20 * minute),
    up: fc.boolean(),
    status: fc.constantFrom(200, 200, 200, 503),
    open: fc.boolean(),
    kill: fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined }),
  });

  it("property: killed at any moment, it signals no instant twice and tells each change exactly once", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 50 }), async (events) => {
        const one = new Sentinel();
        await one.begin();
        for (const { passMs, up, status, open, kill } of events) {
          one.finding = { ok: up, detail: "x" };
          one.status = status;
          one.open = open;
          await one.turn(passMs, kill);
        }
        [one.status, one.open] = [200, true];
        await one.run(40 * minute, minute);
        // A key may be asked for again after a kill: it is the same run. Other keys for one instant there are none.
        const keys = [...new Set(one.signals)];
        assert.deepEqual(keys, keys.toSorted());
        const changes = one.read().filter((text) => text.startsWith("watchdog site"));
        changes.forEach((text, n) => assert.match(text, n % 2 === 0 ? /: down/ : /: up again/));
      }),
      { numRuns: 25 },
    );
  });
});
