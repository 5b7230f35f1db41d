import assert from "node:assert/strict";
import type { Registration } from "../../components/shared/signals/protocol.ts";
import { decide, nextDueMs } from "../../runtime-agent/src/sentinel/core/decide.ts";
import type { Delivery, Event, KnownKey, Outcome, Policy } from "../../runtime-agent/src/sentinel/core/events.ts";
import { backOffMs } from "../../runtime-agent/src/sentinel/core/runs.ts";
import { SentinelState } from "../../runtime-agent/src/sentinel/core/state.ts";
import { policy, reportOf } from "../support/sentinelModel.ts";

const minute = 60_000;
const key = "ab".repeat(32);
const id = "cd".repeat(16);
const registration: Registration = {
  instance: "1".repeat(32),
  address: { host: "10.0.0.9", port: 8943 },
  mode: "job",
  idempotent: false,
  version: "1.0.0",
};

/** A Sentinel in memory, with a clock that a test moves. */
function sentinel(changed: Partial<Policy> = {}) {
  const state = new SentinelState();
  let nowMs = 1_700_000_000_000;
  let ids = 0;
  const take = (event: Event): Outcome =>
    decide(state, event, { monotonicMs: nowMs, wallMs: nowMs, random: () => 0.5 }, { ...policy, ...changed });
  const send = (of: string, more: { digest?: string; known?: KnownKey; keys?: number; issuedMs?: number } = {}) =>
    take({
      kind: "signal",
      signal: {
        ...{ agent: "ghost", key: of, digest: "d".repeat(64), payload: { bytes: 2, json: "{}" } },
        ...{ runId: `run_${String((ids += 1)).padStart(32, "0")}`, known: undefined, keys: 0 },
        ...more,
      },
    });
  return {
    state,
    take,
    send,
    pass: (ms: number): void => void (nowMs += ms),
    now: () => nowMs,
    agent: () => state.agents.get("ghost"),
    create: (ttlMs = 24 * 60 * minute) =>
      take({
        kind: "new",
        ...{ key, id },
        agent: { name: "ghost", kind: "browser-light", size: "S", mode: "job", idempotent: false, ttlMs },
      }),
    register: (instance = registration.instance) =>
      take({ kind: "register", name: "ghost", key, registration: { ...registration, instance } }),
    tick: () => take({ kind: "tick", handOver: true }),
    tried: (runId: string, outcome: Delivery) =>
      take({ kind: "delivered", runId, life: 1, sentSec: state.runs.get(runId)?.sentSec ?? 0, outcome }),
    result: (runId: string, how: "completed" | "failed") =>
      take({ kind: "result", name: "ghost", life: 1, report: reportOf(runId, how), body: undefined }),
  };
}

function runIdOf({ reply }: Outcome): string {
  return String(reply.json.runId);
}

describe("Sentinel: the registry", () => {
  it("mints one key, gives it again to who did not hear it, and binds it to one instance", () => {
    const one = sentinel();
    const first = one.create().reply;
    assert.deepEqual([first.status, first.json.key], [201, key]);
    assert.deepEqual(one.create().reply, { status: 200, json: first.json });
    const other = { name: "ghost", kind: "batch", size: "M", mode: "job", idempotent: false, ttlMs: minute } as const;
    assert.equal(one.take({ kind: "new", key, id, agent: other }).reply.status, 409);
    const lease = { validMs: 75_000, heartbeatMs: 20_000, expiresMs: one.now() + 24 * 60 * minute };
    assert.deepEqual(one.register().reply, { status: 200, json: lease });
    assert.deepEqual(one.register().reply, { status: 200, json: lease });
    assert.equal(one.register("2".repeat(32)).reply.status, 409);
    // A used key is shown to nobody any more.
    assert.equal(one.create().reply.status, 409);
    const heartbeat = { instance: "2".repeat(32), ready: true, running: null, queued: 0, crashLoop: false };
    assert.equal(one.take({ kind: "heartbeat", name: "ghost", heartbeat }).reply.status, 409);
    assert.equal(one.take({ kind: "heartbeat", name: "nobody", heartbeat }).reply.status, 404);
  });

  it("hands a server that never registered in 30 minutes to the reaper, until another key is asked for", () => {
    const one = sentinel();
    one.create();
    one.pass(30 * minute - 1);
    assert.equal(one.tick().lines.length, 0);
    one.pass(1);
    // Not on a clock that cannot be believed.
    assert.equal(one.take({ kind: "tick", handOver: false }).lines.length, 0);
    one.tick();
    assert.equal(one.agent()?.handedOver?.why, "unregistered");
    assert.equal(one.register().reply.status, 410);
    assert.equal(one.send("late").reply.status, 409);
    assert.equal(one.take({ kind: "renew", name: "ghost", ttlMs: minute }).reply.status, 409);
    // Only of the life that was handed over.
    one.take({ kind: "extension", name: "reaper", action: { kind: "reaped", agent: "ghost", life: 2 } });
    assert.ok(one.agent() !== undefined);
    assert.equal(one.take({ kind: "mint", name: "ghost", key }).reply.status, 200);
    one.take({ kind: "extension", name: "reaper", action: { kind: "reaped", agent: "ghost", life: 1 } });
    assert.equal(one.agent()?.handedOver, undefined);
    one.pass(30 * minute);
    one.tick();
    one.take({ kind: "extension", name: "reaper", action: { kind: "reaped", agent: "ghost", life: 2 } });
    assert.equal(one.agent(), undefined);
  });

  it("lets an expired server be renewed until the grace is over", () => {
    const one = sentinel();
    one.create(60 * minute);
    one.register();
    one.pass(65 * minute);
    assert.equal(one.tick().lines.length, 0);
    assert.equal(one.send("a").reply.status, 409);
    assert.equal(one.take({ kind: "renew", name: "ghost", ttlMs: 60 * minute }).reply.status, 200);
    assert.equal(one.send("a").reply.status, 202);
    one.pass(70 * minute);
    one.tick();
    assert.equal(one.agent()?.handedOver?.why, "expired");
  });

  it("forgets a server that says that it is being destroyed, as if a person had removed it", () => {
    const one = sentinel();
    one.create();
    one.register();
    const [begun, underWay, waiting] = [runIdOf(one.send("a")), runIdOf(one.send("b")), runIdOf(one.send("c"))];
    one.tried(begun, { kind: "taken", report: reportOf(begun, "running"), body: undefined });
    const destroyed = (instance: string) =>
      one.take({ kind: "farewell", name: "ghost", key, farewell: { instance, reason: "destroyed" } });
    assert.equal(destroyed("2".repeat(32)).reply.status, 409);
    const { reply, news } = destroyed(registration.instance);
    assert.equal(reply.status, 204);
    assert.equal(one.agent(), undefined);
    assert.deepEqual(
      [begun, underWay, waiting].map((runId) => one.state.runs.get(runId)?.phase),
      ["ended", "ended", "dead"],
    );
    assert.deepEqual([news[0]?.kind, news.at(-1)?.kind], ["farewell", "removed"]);
    // Its answer was lost: it may go all the same. And the name is free.
    assert.equal(destroyed(registration.instance).reply.status, 204);
    assert.equal(one.create().reply.status, 201);
  });

  it("notes a size that the kind may have, and takes the proposal back with it", () => {
    const one = sentinel();
    one.create();
    const proposal = { from: "S", to: "M", kills: 2 } as const;
    const action = { kind: "propose-size", agent: "ghost", proposal } as const;
    assert.equal(one.take({ kind: "extension", name: "oom", action }).lines.length, 1);
    assert.equal(one.take({ kind: "extension", name: "oom", action }).lines.length, 0);
    assert.deepEqual(one.agent()?.proposal, proposal);
    assert.equal(one.take({ kind: "resize", name: "ghost", size: "XS" }).reply.status, 400);
    assert.equal(one.take({ kind: "resize", name: "ghost", size: "M" }).reply.status, 200);
    assert.deepEqual([one.agent()?.size, one.agent()?.proposal], ["M", undefined]);
  });
});

describe("Sentinel: signals", () => {
  it("gives one run id for each key, and refuses another payload, a key that is too old, and one too many", () => {
    const one = sentinel({ mostWaiting: 2, mostKeys: 10 });
    one.create();
    const id = runIdOf(one.send("a"));
    assert.equal(runIdOf(one.send("a")), id);
    assert.equal(one.send("a", { digest: "e".repeat(64) }).reply.status, 409);
    const known: KnownKey = { runId: "run_9", digest: "d".repeat(24), state: "completed" };
    assert.deepEqual(one.send("b", { known }).reply, { status: 200, json: { runId: "run_9", state: "completed" } });
    assert.equal(one.send("b", { known: { ...known, digest: "e".repeat(24) } }).reply.status, 409);
    const old = one.send("c", { issuedMs: one.now() - policy.keyMs - 1 }).reply;
    assert.deepEqual([old.status, old.json.limit], [410, "30 days"]);
    assert.equal(one.send("c", { keys: 10 }).reply.status, 503);
    assert.equal(one.send("c").reply.status, 202);
    assert.equal(one.send("d").reply.status, 503);
    assert.equal(one.take({ kind: "remove", name: "nobody" }).reply.status, 404);
  });

  it("tries with back-off up to a bound, then keeps it as a dead letter that a person may send again", () => {
    const one = sentinel({ attempts: 2 });
    one.create();
    one.register();
    const first = one.send("a");
    const id = runIdOf(first);
    assert.deepEqual(
      first.actions.map(({ kind }) => kind),
      ["deliver"],
    );
    one.send("b");
    assert.equal(one.tried(id, { kind: "later", reason: "503" }).actions.length, 0);
    one.pass(1000);
    const [again] = one.tick().actions;
    assert.ok(again?.kind === "deliver" && again.run.attempts === 2 && again.run.runId === id);
    const given = one.tried(id, { kind: "unknown", reason: "no answer" });
    assert.deepEqual(given.news, [{ kind: "dead-letter", agent: "ghost", runId: id, reason: "no answer" }]);
    // The next in line is held up no longer.
    assert.deepEqual(
      given.actions.map((action) => action.kind === "deliver" && action.run.key),
      ["b"],
    );
    assert.deepEqual(one.send("a").reply.json, { runId: id, state: "dead" });
    assert.deepEqual(one.take({ kind: "retry", runId: id }).reply, {
      status: 202,
      json: { runId: id, state: "waiting" },
    });
    assert.ok((one.state.runs.get(id)?.order ?? 0) > (one.state.runOf("ghost", "b")?.order ?? 0));
    assert.equal(one.take({ kind: "retry", runId: "run_0" }).reply.status, 404);
  });

  it("lets the first end stand, takes a result of nobody, and none of another agent", () => {
    const one = sentinel();
    one.create();
    one.register();
    const id = runIdOf(one.send("a"));
    assert.equal(one.result(id, "completed").reply.status, 204);
    assert.equal(one.result(id, "failed").reply.status, 204);
    assert.equal(one.state.runs.get(id)?.end?.state, "completed");
    assert.equal(one.result("run_unknown", "completed").reply.status, 204);
    const result = { kind: "result", name: "ghost", report: reportOf(id, "failed"), body: undefined } as const;
    // A server that has lost its place, and another agent.
    assert.equal(one.take({ ...result, life: 0 }).reply.status, 409);
    const batch = { name: "other", kind: "batch", size: "M", mode: "job", idempotent: false, ttlMs: minute } as const;
    one.take({ kind: "new", key, id, agent: batch });
    assert.equal(one.take({ ...result, name: "other", life: 1 }).reply.status, 403);
  });

  it("keeps what nobody took when its agent leaves, and calls what may have begun interrupted", () => {
    const one = sentinel();
    one.create();
    one.register();
    const [begun, waiting] = [runIdOf(one.send("a")), runIdOf(one.send("b"))];
    assert.equal(one.take({ kind: "remove", name: "ghost" }).reply.status, 204);
    assert.equal(one.state.runs.get(begun)?.end?.state, "interrupted");
    assert.equal(one.state.runs.get(waiting)?.phase, "dead");
    assert.equal(one.take({ kind: "retry", runId: waiting }).reply.status, 409);
    one.create();
    assert.equal(one.take({ kind: "retry", runId: waiting }).reply.status, 202);
    assert.equal(one.take({ kind: "give-up", runId: waiting }).reply.status, 404);
  });

  it("delivers nothing to a runner whose lease is over, and asks for a run that nobody heard of", () => {
    const one = sentinel();
    one.create();
    one.register();
    one.pass(policy.leaseMs + 1);
    assert.equal(one.send("a").actions.length, 0);
    const id = runIdOf(one.send("a"));
    assert.deepEqual(
      one.register().actions.map(({ kind }) => kind),
      ["deliver"],
    );
    one.tried(id, { kind: "taken", report: reportOf(id, "queued"), body: undefined });
    assert.equal(one.state.runs.get(id)?.phase, "handed");
    one.pass(policy.askAfterMs);
    one.register();
    const asked = one.tick().actions;
    one.tick();
    assert.deepEqual(asked, []);
    assert.equal(one.state.questions.get("ghost"), id);
    const answer = { kind: "report", report: reportOf(id, "completed"), body: undefined } as const;
    one.take({ kind: "asked", runId: id, life: 1, answer });
    assert.equal(one.state.runs.get(id)?.end?.state, "completed");
  });

  it("spreads the tries from nothing to a bound that doubles up to a cap", () => {
    const bounds = [1, 2, 3, 7, 50].map((attempts) => backOffMs(attempts, policy, 1));
    assert.deepEqual(bounds, [1000, 2000, 4000, 60_000, 60_000]);
    assert.equal(backOffMs(5, policy, 0), 0);
  });
});

describe("Sentinel: its rest", () => {
  it("wakes for a try that is due, and not for one that nobody is there to take", () => {
    const one = sentinel();
    one.create();
    one.register();
    const next = (): number | undefined =>
      nextDueMs(one.state, { monotonicMs: one.now(), wallMs: one.now(), random: () => 0.5 }, policy);
    const runId = runIdOf(one.send("a"));
    one.tried(runId, { kind: "later", reason: "no answer" });
    const due = next();
    assert.ok(due !== undefined && due > one.now());
    // Its runner is silent: the time of the next try comes and goes, and the loop must not turn for it without end.
    one.pass(policy.leaseMs + 1);
    one.tick();
    assert.equal(next(), undefined);
    // It is back: what waits is tried at once.
    assert.deepEqual(
      one.register().actions.map(({ kind }) => kind),
      ["deliver"],
    );
  });
});
