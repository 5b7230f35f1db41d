// A request for a service that the Keeper can start (seed 000 step 3: "the Keeper starts Llama-3"), in the pure core.
import assert from "node:assert/strict";
import { arbiterConfig } from "../../runtime-agent/src/keeper/arbiter/core/config.ts";
import { decide, initialState } from "../../runtime-agent/src/keeper/arbiter/core/decide.ts";
import { nextRung } from "../../runtime-agent/src/keeper/arbiter/core/ladder.ts";
import { recover } from "../../runtime-agent/src/keeper/arbiter/core/recover.ts";
import type { ArbiterState } from "../../runtime-agent/src/keeper/arbiter/core/state.ts";
import type { Action, Event, Outcome, Rung, Service } from "../../runtime-agent/src/keeper/arbiter/core/types.ts";

const eva: Service = {
  ...{ name: "eva", rank: 2, kind: "interactive", vramMiB: 8192, forbiddenInMarket: false, leaseMs: 30_000 },
  ...{ rungs: ["freeze", "term"], startable: true },
};
const config = arbiterConfig({ services: [eva], power: { idleMs: 1_000_000 } });

function step(state: ArbiterState, monotonicMs: number, ...events: readonly Event[]): Outcome {
  const rest = {
    wallMs: Date.UTC(2026, 10, 17, 22, 30),
    load1: 1,
    gpu: { kind: "absent" },
    constraint: undefined,
  } as const;
  return decide(state, { monotonicMs, events, ...rest }, config);
}
const kinds = ({ actions }: Outcome): readonly string[] => actions.map(({ kind }) => kind);
const only = ({ actions }: Outcome): Action => {
  const [action] = actions.filter(({ kind }) => kind !== "power");
  assert.ok(action !== undefined);
  return action;
};
const ask: Event = { kind: "request", id: "lease-1", service: "eva" };

describe("Keeper core: a request that starts its service", () => {
  const asked = step(initialState(), 1000, ask);
  const start = only(asked);

  it("starts it if it is absent, and grants when it is there, under the same token", () => {
    assert.ok(start.kind === "start");
    assert.deepEqual([start.service, start.ifAbsent], ["eva", true]);
    const there = step(asked.state, 21_000, { kind: "done", action: start.id, ok: true });
    const grant = only(there);
    assert.ok(grant.kind === "grant");
    assert.deepEqual([grant.lease, grant.token], ["lease-1", start.token]);
    // The lease runs from the grant: a slow start costs its client nothing.
    assert.equal(there.state.holds["eva"]?.untilMs, 51_000);
    assert.deepEqual(kinds(step(there.state, 50_000)), []);
  });

  it("refuses with the reason when it does not start, and holds nothing for it", () => {
    const failed = step(asked.state, 2000, { kind: "done", action: start.id, ok: false, reason: "no such program" });
    const refusal = only(failed);
    assert.ok(refusal.kind === "refuse");
    assert.deepEqual([refusal.lease, refusal.reason], ["lease-1", "did not start: no such program"]);
    assert.deepEqual(failed.state.holds, {});
  });

  it("holds nothing for a client that hung up meanwhile", () => {
    const left = step(asked.state, 2000, { kind: "release", id: "lease-1" });
    const up = step(left.state, 3000, { kind: "done", action: start.id, ok: true });
    assert.deepEqual([kinds(up), up.state.holds], [[], {}]);
    // And for one that came after it, the same start is enough.
    const other = step(left.state, 2500, { ...ask, id: "lease-2" });
    assert.deepEqual(kinds(other), []);
    const after = step(other.state, 3000, { kind: "done", action: start.id, ok: true });
    assert.equal(only(after).kind, "start");
  });

  it("is asked again after a restart of the Keeper, for the same lease", () => {
    const again = recover(asked.state, { monotonicMs: 5000, rebooted: false }, config);
    const second = only(again);
    assert.ok(second.kind === "start" && second.ifAbsent === true && second.id !== start.id);
    const told = step(again.state, 6000, ask, { kind: "done", action: second.id, ok: true });
    assert.deepEqual(kinds(told), ["grant"]);
  });

  it("ends it when nothing is heard of its start in time", () => {
    const late = step(asked.state, 1000 + config.ladder.startMs);
    const end = only(late);
    assert.ok(end.kind === "lower" && end.rung === "term");
    const gone = step(late.state, 70_000, { kind: "done", action: end.id, ok: true });
    assert.deepEqual([kinds(gone), gone.state.holds], [["refuse"], {}]);
  });
});

describe("Keeper core: rungs of a service", () => {
  it("says which ones may be used, not in which order", () => {
    const rungs: readonly Rung[] = ["application", "checkpoint", "freeze", "stop", "term"];
    const given = { ...eva, rungs };
    const reversed = { ...eva, rungs: [...rungs].reverse() };
    for (const goal of ["pause", "vram", "end", "leave"] as const) {
      const tried: Rung[] = [];
      for (let count = 0; count < rungs.length; count += 1) {
        const next = nextRung(given, goal, tried, false);
        assert.equal(nextRung(reversed, goal, tried, false), next, goal);
        if (next !== undefined) tried.push(next);
      }
    }
  });
});
