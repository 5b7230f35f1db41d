/** What becomes of the runs of a server whose time is over: none stays open, whatever state it was in and whoever is away. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { decide } from "../../runtime-agent/src/sentinel/core/decide.ts";
import type { Action, Event, Outcome } from "../../runtime-agent/src/sentinel/core/events.ts";
import { SentinelState } from "../../runtime-agent/src/sentinel/core/state.ts";
import { policy, reportOf } from "../support/sentinelModel.ts";

const instance = "a".repeat(32);
const hourMs = 3_600_000;
const runIdOf = (n: number): string => `run_${n.toString(16).padStart(32, "0")}`;

/** A Sentinel with one agent of an hour, and what it asked to be done. */
function createWorld(idempotent: boolean) {
  let nowMs = 1_700_000_000_000;
  let state = new SentinelState();
  const disk: Outcome["lines"][number][] = [];
  const actions: Action[] = [];
  let signals = 0;
  const told: string[] = [];
  const take = (event: Event): Outcome => {
    const outcome = decide(state, event, { monotonicMs: nowMs, wallMs: nowMs, random: () => 0 }, policy);
    disk.push(...outcome.lines);
    actions.push(...outcome.actions);
    for (const news of outcome.news) if (news.kind === "dead-letter") told.push(news.runId);
    return outcome;
  };
  const registration = {
    ...{ instance, address: { host: "127.0.0.1", port: 8943 }, mode: "job" as const, idempotent, version: "1" },
  };
  const key = "b".repeat(64);
  take({
    kind: "new",
    ...{ key, id: "c".repeat(32) },
    agent: { name: "ghost", kind: "browser-light", size: "S", mode: "job", idempotent, ttlMs: hourMs },
  });
  const beat = (): void => {
    if (state.agents.get("ghost")?.registered === undefined)
      take({ kind: "register", name: "ghost", key, registration });
    const heartbeat = { instance, ready: true, running: null, queued: 0, crashLoop: false };
    take({ kind: "heartbeat", name: "ghost", heartbeat });
  };
  const nextDelivery = () => {
    const at = actions.findIndex(({ kind }) => kind === "deliver");
    const [action] = at < 0 ? [] : actions.splice(at, 1);
    return action?.kind === "deliver" ? action : undefined;
  };
  /** A try to deliver ends, or nobody ever hears how it did. */
  const deliver = (kind: "queued" | "completed" | "later" | "unknown"): void => {
    const action = nextDelivery();
    if (action === undefined) return;
    const { runId, sentSec } = action.run;
    const report = kind === "queued" || kind === "completed" ? reportOf(runId, kind) : undefined;
    const outcome =
      report === undefined
        ? { kind: kind === "later" ? ("later" as const) : ("unknown" as const), reason: kind }
        : { kind: "taken" as const, report, body: undefined };
    take({ kind: "delivered", runId, sentSec, life: action.agent.life, outcome });
  };
  return {
    state: () => state,
    told,
    take,
    steps: [
      () =>
        void take({
          kind: "signal",
          signal: {
            ...{ agent: "ghost", key: `k${String((signals += 1))}`, digest: "d".repeat(64), runId: runIdOf(signals) },
            ...{ payload: { bytes: 2, json: "{}" }, known: undefined, keys: 0 },
          },
        }),
      beat,
      () => deliver("queued"),
      () => deliver("completed"),
      () => deliver("later"),
      () => deliver("unknown"),
      () => void nextDelivery(),
      () => {
        nowMs += 90_000;
        take({ kind: "tick", handOver: true });
      },
      () => {
        state = new SentinelState();
        actions.length = 0;
        for (const line of disk) state.apply(line);
      },
    ],
    pass(ms: number) {
      nowMs += ms;
      take({ kind: "tick", handOver: true });
    },
    sayFarewell: () => void take({ kind: "farewell", name: "ghost", key, farewell: { instance, reason: "expired" } }),
  };
}

describe("Sentinel: the runs of a server whose time is over", () => {
  const played = fc.array(fc.nat(8), { maxLength: 60 });
  for (const idempotent of [false, true])
    it(`are closed when it is long the reaper's, even if nobody deletes it (idempotent: ${String(idempotent)})`, () => {
      fc.assert(
        fc.property(played, fc.boolean(), fc.boolean(), (choices, farewell, alive) => {
          const world = createWorld(idempotent);
          for (const choice of choices) world.steps[choice]?.();
          const open = [...world.state().runs.values()].filter(
            ({ phase }) => phase === "waiting" || phase === "handed",
          );
          if (farewell) world.sayFarewell();
          // Its runner may still be there, and beat, and be asked.
          for (const ms of [hourMs, policy.graceMs, policy.graceMs, 1000]) {
            if (alive && world.state().agents.get("ghost")?.registered !== undefined) world.steps[1]?.();
            world.pass(ms);
          }
          assert.ok(world.state().agents.get("ghost")?.handedOver !== undefined);
          for (const { runId } of open) {
            const run = world.state().runs.get(runId);
            assert.ok(run?.phase === "ended" || run?.phase === "dead", `${runId} is ${String(run?.phase)} for ever`);
            assert.notEqual(run.end?.state, "completed");
            // Somebody is told, and a person can do something about it.
            if (run.phase === "dead") assert.ok(world.told.includes(runId) && run.reason !== undefined);
            // What may have been begun is not called a letter that was never delivered.
            else assert.ok(!idempotent && run.end?.state === "interrupted");
          }
          const lines = world.take({ kind: "tick", handOver: true }).lines;
          assert.deepEqual(lines, [], "and that is all");
        }),
        { numRuns: 200 },
      );
    });

  it("wait for a result until then, and a late one still ends a dead letter", () => {
    const world = createWorld(true);
    for (const step of [1, 0, 2]) world.steps[step]?.();
    world.sayFarewell();
    world.pass(policy.graceMs - 1000);
    assert.equal(world.state().runs.get(runIdOf(1))?.phase, "handed");
    world.pass(1000);
    assert.equal(world.state().runs.get(runIdOf(1))?.phase, "dead");
    const report = reportOf(runIdOf(1), "completed");
    world.take({ kind: "result", name: "ghost", life: 1, report, body: undefined });
    assert.equal(world.state().runs.get(runIdOf(1))?.end?.state, "completed");
  });

  it("are not asked for again while there is no other server", () => {
    const world = createWorld(false);
    world.steps[0]?.();
    world.pass(hourMs + policy.graceMs);
    world.pass(policy.graceMs);
    assert.equal(world.take({ kind: "retry", runId: runIdOf(1) }).reply.status, 409);
    assert.equal(world.state().runs.get(runIdOf(1))?.phase, "dead");
  });
});
