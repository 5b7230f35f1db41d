import assert from "node:assert/strict";
import fc from "fast-check";
import { decide, initialState } from "../../runtime-agent/src/keeper/arbiter/core/decide.ts";
import { recover } from "../../runtime-agent/src/keeper/arbiter/core/recover.ts";
import type { Observation } from "../../runtime-agent/src/keeper/arbiter/core/types.ts";
import { KeeperModel, calm, modelConfig, moment } from "../support/keeperModel.ts";
import type { Moment } from "../support/keeperModel.ts";

const moments = fc.array(moment, { minLength: 1, maxLength: 60 });
const config = modelConfig;

function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(frozen);
  }
  return value;
}

function rankOf(name: string): number {
  return config.services.find((each) => each.name === name)?.rank ?? 9;
}

describe("whatever happens, the arbiter's core", () => {
  it("lets one service at a time use the card, and gives out tokens that only grow", () => {
    // The model asserts both at every action.
    fc.assert(
      fc.property(moments, (all) => {
        const model = new KeeperModel();
        for (const each of all) {
          const { state } = model.play(each);
          const active = Object.values(state.holds).filter(({ phase }) => phase !== "lowered" && phase !== "lowering");
          assert.ok(active.length <= 1);
        }
      }),
      { numRuns: 400 },
    );
  });

  it("decides nothing more at the same instant, forgets nothing in JSON, and changes no state it was given", () => {
    fc.assert(
      fc.property(moments, (all) => {
        const model = new KeeperModel();
        for (const each of all) {
          const { state } = model.play(each);
          frozen(state);
          assert.deepEqual(JSON.parse(JSON.stringify(state)), state);
          assert.ok(model.last !== undefined);
          const again = decide(state, { ...model.last, events: [] }, config);
          assert.deepEqual(again.actions, []);
          assert.deepEqual(again.decisions, []);
          assert.deepEqual(again.state, state);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("lets no lower rank go on while a higher one waits that may run and would fit", () => {
    fc.assert(
      fc.property(moments, (all) => {
        const model = new KeeperModel();
        for (const each of all) {
          const { state } = model.play(each);
          if (!cardIsOpen(model, each)) continue;
          for (const { service } of state.queue) {
            const blocked = state.told[`blocked:${service}`] !== undefined;
            if (blocked || state.holds[service] !== undefined || service === "research") continue;
            for (const [name, hold] of Object.entries(state.holds)) {
              const active = hold.phase !== "lowered" && hold.phase !== "lowering";
              assert.ok(!active || rankOf(name) <= rankOf(service), `${name} ${hold.phase} while ${service} waits`);
            }
          }
        }
      }),
      { numRuns: 400 },
    );
  });

  it("grants EVA within the bound of its ladder once the shell answers and the card is well", () => {
    fc.assert(
      fc.property(moments, (all) => {
        const model = new KeeperModel();
        for (const each of all) model.play(each);
        settle(model);
        if (model.state.queue.some(({ service }) => rankOf(service) === 2)) return;
        if (Object.keys(model.state.holds).some((name) => rankOf(name) === 2)) return;
        model.play(calm(model, 1, [{ kind: "request", id: "now", service: "eva" }]));
        // Every action is answered at once here: what is left is a handful of rungs, one millisecond each.
        for (let i = 0; i < 20 && model.state.holds["eva"]?.phase !== "running"; i += 1) model.play(calm(model, 1));
        assert.equal(model.state.holds["eva"]?.lease, "now");
        assert.equal(model.state.holds["eva"]?.phase, "running");
      }),
      { numRuns: 300 },
    );
  });

  it("leaves nobody frozen: when all is well and nobody asks, whatever may run is raised in its turn", () => {
    fc.assert(
      fc.property(moments, (all) => {
        const model = new KeeperModel();
        for (const each of all) model.play(each);
        settle(model);
        const lowered = (): string[] =>
          Object.entries(model.state.holds).flatMap(([name, { phase }]) => (phase === "lowered" ? [name] : []));
        for (let i = 0; i < 40 && lowered().length > 0; i += 1) {
          const [busy] = Object.entries(model.state.holds).find(([, { phase }]) => phase === "running") ?? [];
          model.play(calm(model, 1000, busy === undefined ? [] : [{ kind: "exited", service: busy }]));
        }
        assert.deepEqual(lowered(), []);
      }),
      { numRuns: 300 },
    );
  });

  it("kills nobody while the heat of the card is unknown", () => {
    fc.assert(
      fc.property(moments, (all) => {
        const model = new KeeperModel();
        for (const each of all) {
          const { actions } = model.play(each);
          if (each.gpu === "absent" || (each.gpu === "known" && each.temperatureC !== undefined)) continue;
          const ends = actions.filter((a) => a.kind === "lower" && (a.rung === "kill" || a.rung === "term"));
          assert.deepEqual(ends, []);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("ends nobody for a newcomer of its own rank or a lower one", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 6 }), moments, (turns, all) => {
        const model = new KeeperModel();
        // Two batches take turns of a minute; then every second rung fails.
        for (let i = 0; i < turns; i += 1) model.play(calm(model, 30_000));
        for (const each of all) {
          const answers = each.answers.map(({ pick, ok }) => ({ pick, ok: ok && pick % 2 === 0 }));
          for (const action of model.play({ ...each, answers }).actions) {
            if (action.kind !== "lower" || (action.rung !== "term" && action.rung !== "kill")) continue;
            const comer = /^(\S+) (?:comes first|needs its VRAM)$|, (\S+) waits$/.exec(action.reason);
            const name = comer?.[1] ?? comer?.[2];
            if (name !== undefined) assert.ok(rankOf(name) < rankOf(action.service), `${action.service} for ${name}`);
          }
        }
      }),
      { numRuns: 600 },
    );
  });

  it("goes by the wall clock for its calendar only: two weeks later it decides the same", () => {
    fc.assert(
      fc.property(moments, (all) => {
        const now = new KeeperModel();
        const later = new KeeperModel(14 * 86_400_000);
        for (const each of all) assert.deepEqual(later.play(each), now.play(each));
      }),
      { numRuns: 100 },
    );
  });

  it("returns a lowered batch to what it was, whichever rungs failed on the way", () => {
    const answers = fc.array(fc.boolean(), { maxLength: 2 });
    fc.assert(
      fc.property(answers, fc.constantFrom("muse", "dream"), fc.constantFrom("eva", "eva2"), (oks, batch, caller) => {
        const model = new KeeperModel();
        model.play(calm(model, 1));
        for (let i = 0; i < 300 && model.state.holds[batch]?.phase !== "running"; i += 1) model.play(calm(model, 1000));
        const before = model.state.holds[batch];
        assert.equal(before?.phase, "running");
        model.play(calm(model, 1, [{ kind: "request", id: "x", service: caller }]));
        for (const ok of batch === "dream" ? [] : oks) {
          // Rungs may fail; a caller that does not start is refused, which is another story.
          const starts = model.pending[0]?.kind === "start";
          model.play({ ...calm(model, 1), answers: [{ pick: 0, ok: ok || starts }] });
        }
        for (let i = 0; i < 10 && model.state.holds[caller]?.phase !== "running"; i += 1) model.play(calm(model, 1));
        assert.equal(model.state.holds[caller]?.phase, "running");
        const ended = model.state.holds[batch] === undefined;
        model.play(calm(model, 1, [{ kind: "release", id: "x" }]));
        for (let i = 0; i < 10; i += 1) model.play(calm(model, 1));
        if (ended) return;
        const volatile = { token: 0, sinceMs: 0, usedMs: 0 };
        assert.deepEqual({ ...model.state.holds[batch], ...volatile }, { ...before, ...volatile });
      }),
      { numRuns: 100 },
    );
  });

  it("recovers from any state: tokens go on, leases stay, and every action in flight is asked again", () => {
    fc.assert(
      fc.property(moments, fc.boolean(), (all, rebooted) => {
        const model = new KeeperModel();
        for (const each of all) model.play(each);
        const before = frozen(model.state);
        const { state, actions } = recover(before, { monotonicMs: rebooted ? 5 : model.nowMs + 5, rebooted }, config);
        assert.ok(state.token >= before.token && state.actions >= before.actions);
        assert.deepEqual(JSON.parse(JSON.stringify(state)), state);
        if (rebooted) return assert.deepEqual(state.holds, {});
        assert.deepEqual(Object.keys(state.holds), Object.keys(before.holds));
        const asked = new Set(actions.map((each) => each.id));
        for (const [name, hold] of Object.entries(state.holds)) {
          assert.equal(hold.lease, before.holds[name]?.lease);
          if (hold.step !== null) assert.ok(asked.has(hold.step.action), `${name} ${hold.phase}`);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("answers any observation at all", () => {
    const number = fc.oneof(fc.double(), fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, -1e300, 0));
    const word = fc.oneof(fc.string(), fc.constantFrom("eva", "muse", "constructor", "__proto__", "a1"));
    const maybe = fc.option(number, { nil: undefined });
    const gpu: fc.Arbitrary<Observation["gpu"]> = fc.oneof(
      fc.constant({ kind: "absent" as const }),
      fc.record({ kind: fc.constant("unknown" as const), reason: fc.string() }),
      fc.record({
        kind: fc.constant("known" as const),
        sample: number,
        vramTotalMiB: number,
        vramUsedMiB: number,
        temperatureC: maybe,
        powerWatts: maybe,
        processes: fc.array(fc.record({ pid: number, vramMiB: number, service: fc.option(word, { nil: undefined }) })),
      }),
    );
    const observation: fc.Arbitrary<Observation> = fc.record({
      monotonicMs: number,
      wallMs: number,
      load1: maybe,
      ownLoad1: maybe,
      gpu,
      constraint: fc.option(
        fc.record({ marketOpen: fc.boolean(), handoff: fc.boolean(), roomC: maybe, untilMonotonicMs: number }),
        { nil: undefined },
      ),
      events: fc.array(
        fc.oneof(
          fc.record({ kind: fc.constant("request" as const), id: word, service: word }),
          fc.record({ kind: fc.constantFrom("renew" as const, "release" as const), id: word }),
          fc.record({ kind: fc.constant("done" as const), action: word, ok: fc.boolean() }),
          fc.record({ kind: fc.constant("exited" as const), service: word }),
        ),
      ),
    });
    fc.assert(
      fc.property(fc.array(observation, { maxLength: 20 }), (all) => {
        let state = initialState();
        for (const each of all) {
          const before = state;
          state = decide(before, each, config).state;
          assert.ok(Number.isFinite(state.nowMs) && state.nowMs >= before.nowMs && state.token >= before.token);
        }
      }),
      { numRuns: 300 },
    );
  });
});

/** Whether newcomers are let in at all, by the moment alone. */
function cardIsOpen(model: KeeperModel, now: Moment): boolean {
  if (now.handoff && now.market !== "lost") return false;
  if (now.gpu === "absent") return true;
  const stale = model.nowMs - model.state.thermal.sampleAtMs > config.thermal.staleMs;
  return now.gpu === "known" && !stale && now.temperatureC !== undefined && now.temperatureC <= config.thermal.limitC;
}

/** Lets every action in flight come to its end; a kill that failed is tried again only at its deadline. */
function settle(model: KeeperModel): void {
  for (const passMs of [1, config.ladder.deadlineMs.kill, 1]) {
    for (let i = 0; i < 15; i += 1) model.play(calm(model, i === 0 ? passMs : 1));
  }
}
