import assert from "node:assert/strict";
import type { Heartbeat, RunReport } from "../../components/shared/signals/protocol.ts";
import { backOffMs, linkToSentinel, quietMs } from "../../runtime-agent/src/runner/sentinelLink.ts";
import { manualClock } from "../../runtime-agent/src/shared/clock.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";
import type { PskAnswer } from "../../runtime-agent/src/shared/pskTls.ts";

const nowMs = 1_800_000_000_000;
const log = createLog({ write: () => undefined });
const runIdOf = (n: number): string => `run_${String(n).padStart(32, "0")}`;

/** Lets everything run that waits for nothing but its turn. */
async function settle(): Promise<void> {
  for (let n = 0; n < 50; n += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe("the runner's way to its Sentinel", () => {
  const report = (n: number): RunReport => ({
    ...{ runId: runIdOf(n), state: "completed", attempts: 1, exit: 0, oomKills: 0 },
    ...{ startedMs: 1, endedMs: 2, reason: null, result: null, logTail: "" },
  });
  const beat: Heartbeat = { instance: "0".repeat(32), ready: true, running: null, queued: 0, crashLoop: false };

  /** @param answer without one, nobody answers */
  function scene(answer?: (path: string) => PskAnswer) {
    const clock = manualClock(nowMs);
    const calls: string[] = [];
    const outbox = [report(1), report(2)];
    const world = {
      clock,
      calls,
      outbox,
      answer,
      leases: 0,
      due: false,
    };
    const link = linkToSentinel({
      clock,
      log,
      random: () => 0,
      async post(path) {
        calls.push(path);
        if (world.answer === undefined) throw Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
        return world.answer(path);
      },
      registration: {
        instance: beat.instance,
        address: { host: "h", port: 1 },
        mode: "job",
        idempotent: false,
        version: "1",
      },
      heartbeat: async () => beat,
      onLease: () => (world.leases += 1),
      nextReport: () => outbox[0],
      onDelivered: () => void outbox.shift(),
      farewellDue: () => world.due,
    });
    const count = (path: string): number => calls.filter((call) => call === path).length;
    return { world, link, count };
  }

  const lease = (heartbeatMs = 10_000): PskAnswer => ({
    status: 200,
    text: JSON.stringify({ validMs: 30_000, heartbeatMs, expiresMs: nowMs + 1 }),
  });
  const good = (path: string): PskAnswer =>
    path === "/v1/results" || path === "/v1/farewell" ? { status: 204, text: "" } : lease();

  it("tries less and less often while nobody answers, and loses nothing meanwhile", async () => {
    const { world, link, count } = scene();
    for (let n = 0; n < 3600; n += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      world.clock.advance(1000);
    }
    assert.ok(count("/v1/register") > 50 && count("/v1/register") < 80, String(count("/v1/register")));
    assert.match(link.fault() ?? "", /ECONNREFUSED/);
    assert.equal(world.outbox.length, 2);
    world.answer = good;
    world.clock.advance(60_000);
    await settle();
    world.clock.advance(1000);
    await settle();
    assert.equal(world.outbox.length, 0);
    assert.equal(link.fault(), undefined);
    await link.stop();
  });

  it("renews its lease at the time it is told, and registers again when it is not known", async () => {
    const { world, link, count } = scene(good);
    await settle();
    assert.deepEqual([count("/v1/register"), count("/v1/heartbeat")], [1, 1]);
    world.clock.advance(10_000);
    await settle();
    assert.equal(count("/v1/heartbeat"), 2);
    world.answer = (path) => (path === "/v1/heartbeat" ? { status: 404, text: "" } : good(path));
    world.clock.advance(10_000);
    await settle();
    world.answer = good;
    world.clock.advance(1000);
    await settle();
    assert.equal(count("/v1/register"), 2);
    await link.stop();
  });

  it("says it when another server has its registration, and when the answer is none", async () => {
    const { world, link } = scene(() => ({ status: 409, text: "" }));
    await settle();
    assert.match(link.fault() ?? "", /used by another server/);
    world.answer = () => ({ status: 200, text: '{"validMs":-1}' });
    world.clock.advance(60_000);
    await settle();
    assert.match(link.fault() ?? "", /it answered 200/);
    await link.stop();
  });

  it("delivers each result until it is taken with 204, in order", async () => {
    const { world, link, count } = scene();
    let status = 500;
    world.answer = (path) => (path === "/v1/results" ? { status, text: "" } : lease());
    await settle();
    assert.equal(world.outbox.length, 2);
    status = 200;
    world.clock.advance(60_000);
    await settle();
    assert.equal(world.outbox.length, 2, "200 is not the word");
    status = 204;
    world.clock.advance(60_000);
    await settle();
    assert.equal(world.outbox.length, 0);
    const taken = count("/v1/results");
    world.outbox.push(report(3));
    link.wake();
    await settle();
    assert.deepEqual([world.outbox.length, count("/v1/results")], [0, taken + 1]);
    await link.stop();
  });

  it("asks for the server's end when its time is over, until that is taken, and once", async () => {
    const { world, link, count } = scene();
    let status = 503;
    world.answer = (path) => (path === "/v1/farewell" ? { status, text: "" } : good(path));
    world.due = true;
    await settle();
    world.clock.advance(10_000);
    await settle();
    assert.ok(count("/v1/farewell") >= 2);
    assert.equal(link.parted, false);
    status = 204;
    for (let n = 0; n < 3; n += 1) {
      world.clock.advance(10_000);
      await settle();
    }
    const asked = count("/v1/farewell");
    assert.equal(link.parted, true);
    world.clock.advance(10_000);
    await settle();
    assert.equal(count("/v1/farewell"), asked);
    // A renewed server goes on.
    world.due = false;
    world.clock.advance(10_000);
    await settle();
    assert.equal(link.parted, false);
    await link.stop();
  });

  it("says farewell after the results that wait, is quiet, and goes on if its server stays", async () => {
    const { world, link, count } = scene();
    let isTaken = false;
    world.answer = (path) => (path === "/v1/results" && !isTaken ? { status: 503, text: "" } : good(path));
    await settle();
    const said = link.leave();
    await settle();
    assert.deepEqual([link.leaving, count("/v1/farewell")], [true, 0]);
    isTaken = true;
    for (let n = 0; n < 4; n += 1) {
      world.clock.advance(1000);
      await settle();
    }
    assert.equal(await said, undefined);
    assert.deepEqual([world.outbox.length, count("/v1/farewell")], [0, 1]);
    const beats = count("/v1/heartbeat");
    world.clock.advance(quietMs - 10_000);
    await settle();
    assert.equal(count("/v1/heartbeat"), beats);
    world.clock.advance(10_000);
    await settle();
    assert.deepEqual([link.leaving, count("/v1/heartbeat") > beats], [false, true]);
    await link.stop();
  });

  it("tells why it could not say farewell, and waits for nothing long", async () => {
    const { world, link } = scene();
    const said = link.leave();
    await settle();
    world.clock.advance(3000);
    assert.match((await said) ?? "", /cannot be reached: ECONNREFUSED/);
    world.outbox.length = 0;
    world.answer = () => ({ status: 409, text: "" });
    assert.match((await link.leave()) ?? "", /answered 409/);
    await link.stop();
  });

  it("waits between half and the whole of a doubling time", () => {
    assert.deepEqual(
      [1, 2, 3, 30].map((failures) => backOffMs(failures, () => 0)),
      [500, 1000, 2000, 60_000],
    );
    assert.equal(backOffMs(2, () => 0.999_999) > 500, true);
  });
});
