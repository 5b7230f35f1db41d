import assert from "node:assert/strict";
import fc from "fast-check";
import { decide } from "../../runtime-agent/src/nerve/core/spot/decide.ts";
import { newTally, observe, outlookOf } from "../../runtime-agent/src/nerve/core/spot/outlook.ts";
import { type PlanSize, planOf } from "../../runtime-agent/src/nerve/core/spot/plan.ts";
import {
  type JobState,
  type SpotJob,
  type ZoneNow,
  defaultSpotPolicy as policy,
} from "../../runtime-agent/src/nerve/core/spot/types.ts";
import { uniformProgress } from "../bench/spot/baselines.ts";
import { omniscient } from "../bench/spot/omniscient.ts";
import { agesOf, dailyPlans, ours } from "../bench/spot/ours.ts";
import { type Job, type Place, replay } from "../bench/spot/replay.ts";
import type { RegionTrace } from "../bench/spot/traces.ts";
import { madeUpMarket, otherFuture } from "../support/spotTraces.ts";

const hourMs = 3_600_000;
const onDemandPrice = 3.06;
const size: PlanSize = { workMs: 4 * hourMs, slackMs: 3 * hourMs };
const plan = planOf(outlookOf(newTally(195_000), 1), 13 * 60_000, onDemandPrice, size);

const market = fc.record({
  seed: fc.nat(),
  rows: fc.constant(600),
  zones: fc.integer({ min: 1, max: 3 }),
  upRows: fc.integer({ min: 3, max: 120 }),
  downRows: fc.integer({ min: 1, max: 120 }),
});

/** A job, what its owner said of it, and where it starts. */
const jobs = fc
  .record({
    work: fc.integer({ min: 8, max: 70 }),
    wrong: fc.double({ min: 0.8, max: 1.2, noNaN: true }),
    room: fc.integer({ min: 0, max: 60 }),
    said: fc.integer({ min: 1, max: 5 }),
    longer: fc.integer({ min: 1, max: 3 }),
    start: fc.integer({ min: 0, max: 440 }),
  })
  .map(({ work, wrong, room, said, longer, start }) => {
    const truth = Math.max(1, Math.round(work * wrong));
    const changeover = said * longer;
    const job: Job = { work: truth, changeover, deadline: truth + changeover + room };
    return { start, job, told: { work, changeover: said } };
  });

function run(trace: RegionTrace, start: number, job: Job, told: Pick<Job, "work" | "changeover">, upTo = Infinity) {
  const policy = ours(trace, agesOf(trace), dailyPlans(trace, 13 * 60_000, onDemandPrice, size), told, job);
  const places: Place[] = [];
  const outcome = replay(trace, start, job, onDemandPrice, {
    place(seen) {
      const place = policy.place(seen);
      if (seen.row < upTo) places.push(place);
      return place;
    },
  });
  return { places, outcome };
}

describe("Nerve's spot decisions", () => {
  it("keep every deadline that on demand from the beginning would have kept, and the limit of hops", () => {
    fc.assert(
      fc.property(market, jobs, (shape, { start, job, told }) => {
        const { outcome } = run(madeUpMarket(shape), start, job, told);
        assert.ok(outcome.took <= job.deadline, `${String(outcome.took)} rows, ${String(job.deadline)} allowed`);
        assert.equal(outcome.brokeLimit, false);
      }),
      { numRuns: 40 },
    );
  });

  it("depend on nothing that is still to come", () => {
    fc.assert(
      fc.property(
        market,
        jobs,
        fc.nat(),
        fc.integer({ min: 0, max: 150 }),
        (shape, { start, job, told }, seed, ahead) => {
          const trace = madeUpMarket(shape);
          // The row of the decision is seen; what follows is another world.
          const cut = start + ahead + 1;
          const past = run(trace, start, job, told, cut).places;
          assert.deepEqual(run(otherFuture(trace, cut, seed), start, job, told, cut).places, past);
        },
      ),
      { numRuns: 25 },
    );
  });

  it("are planned from the rows before the day alone", () => {
    fc.assert(
      fc.property(market, fc.nat(), (shape, seed) => {
        const trace = madeUpMarket({ ...shape, rows: 950 });
        const day = Math.round((24 * hourMs) / trace.rowMs);
        const planAt = (of: RegionTrace) => {
          const { idle, onDemand, spot } = dailyPlans(of, 13 * 60_000, onDemandPrice, size)(day + 3);
          return Buffer.concat([idle, onDemand, spot].map(({ buffer }) => new Uint8Array(buffer)));
        };
        const plan = planAt(trace);
        assert.ok(planAt(otherFuture(trace, day, seed)).equals(plan));
        assert.ok(!planAt(otherFuture(trace, Math.floor(day / 2), seed)).equals(plan));
      }),
      { numRuns: 3 },
    );
  });

  it("cost no less than the omniscient bound, as everyone's do", () => {
    fc.assert(
      fc.property(market, jobs, (shape, { start, job }) => {
        const trace = madeUpMarket(shape);
        const bound = omniscient(trace, onDemandPrice)(start, job).cost;
        const all = trace.zones.map((_, zone) => zone);
        assert.ok(run(trace, start, job, job).outcome.cost >= bound - 1e-9);
        const uniform = replay(trace, start, job, onDemandPrice, uniformProgress(trace, all, job));
        if (uniform.took <= job.deadline) assert.ok(uniform.cost >= bound - 1e-9);
      }),
      { numRuns: 25 },
    );
  });
});

describe("Nerve's spot decision", () => {
  const job: SpotJob = { workMs: 3 * hourMs, deadlineMs: 5 * hourMs, changeoverMs: 13 * 60_000, atRiskMs: 0 };
  const fresh: JobState = {
    place: { kind: "idle" },
    doneMs: 0,
    reportedShare: undefined,
    longestStartMs: undefined,
    started: false,
    hopsMs: [],
  };
  const zone = (name: string, available: boolean, usdPerHour = 0.9, sinceMs = 4 * hourMs): ZoneNow => ({
    zone: name,
    available,
    sinceMs,
    usdPerHour,
  });

  it("takes the cheaper of two zones that are equally steady, and the steadier of two that cost the same", () => {
    const cheap = decide(job, fresh, [zone("a", true, 1.1), zone("b", true, 0.9)], plan, policy, 0);
    assert.deepEqual(cheap.to, { kind: "spot", zone: "b" });
    const steady = decide(job, fresh, [zone("a", true, 0.9, 60_000), zone("b", true)], plan, policy, 0);
    assert.deepEqual(steady.to, { kind: "spot", zone: "b" });
  });

  it("waits while there is room, and goes on demand exactly at the last safe moment", () => {
    const none = [zone("a", false, 0.9, 60_000)];
    const worst = job.deadlineMs - 1.2 * job.workMs - 3 * job.changeoverMs;
    const late = worst - policy.lookMs + 1;
    assert.equal(decide(job, fresh, none, plan, policy, late).reason, "last-safe-moment");
    assert.deepEqual(decide(job, fresh, none, plan, policy, late).to, { kind: "on-demand" });
    assert.equal(decide(job, fresh, none, plan, policy, late - 1).reason, "cheapest");
  });

  it("starts on spot only where the start may be lost, and on demand still comes in time", () => {
    const zones = [zone("a", true)];
    const last = job.deadlineMs - 1.2 * job.workMs - 6 * job.changeoverMs - policy.lookMs;
    assert.deepEqual(decide(job, fresh, zones, plan, policy, last).to, { kind: "spot", zone: "a" });
    assert.notEqual(decide(job, fresh, zones, plan, policy, last + 1).to.kind, "spot");
  });

  it("does not hop a third time within an hour, and says so", () => {
    const hopped: JobState = { ...fresh, started: true, longestStartMs: 60_000, hopsMs: [0, 20 * 60_000] };
    const zones = [zone("a", true)];
    const roomy = { ...job, deadlineMs: 7 * hourMs };
    const held = decide(roomy, hopped, zones, plan, policy, hourMs - 1);
    assert.notEqual(held.to.kind, "spot");
    assert.equal(held.heldByLimit, true);
    assert.equal(decide(roomy, hopped, zones, plan, policy, hourMs).to.kind, "spot");
  });

  it("leaves spot for on demand where an interruption could cost the deadline, and never for a dearer zone", () => {
    const runs: JobState = {
      ...fresh,
      place: { kind: "spot", zone: "a", warmingMs: undefined },
      started: true,
      doneMs: 1.5 * hourMs,
      reportedShare: 0.5,
      longestStartMs: job.changeoverMs,
    };
    const zones = [zone("a", true, 1), zone("b", true, 0.99)];
    assert.equal(decide(job, runs, zones, plan, policy, 2 * hourMs).reason, "keep");
    const risky = { ...job, atRiskMs: hourMs };
    const now = job.deadlineMs - 1.5 * hourMs - job.changeoverMs - hourMs;
    assert.equal(decide(risky, runs, zones, plan, policy, now).to.kind, "spot");
    assert.deepEqual(decide(risky, runs, zones, plan, policy, now + 1).to, { kind: "on-demand" });
    // So late that a start on demand would be late for certain: what runs, runs on.
    assert.equal(decide(risky, runs, zones, plan, policy, now + hourMs + 1).reason, "too-late");
  });

  it("moves to a zone that is far cheaper, where time and hops allow it", () => {
    const long: SpotJob = { ...job, workMs: 3.9 * hourMs, deadlineMs: 9 * hourMs };
    const runs: JobState = {
      ...fresh,
      place: { kind: "spot", zone: "a", warmingMs: undefined },
      started: true,
      doneMs: 60_000,
      longestStartMs: job.changeoverMs,
    };
    const zones = [zone("a", true, 2.5, 20 * hourMs), zone("b", true, 0.9, 20 * hourMs)];
    assert.equal(decide(long, runs, zones, plan, policy, hourMs).reason, "cheaper-zone");
    const hopped = { ...runs, hopsMs: [hourMs - 2, hourMs - 1] };
    assert.equal(decide(long, hopped, zones, plan, policy, hourMs).reason, "keep");
  });
});

describe("the outlook", () => {
  it("is made of chances: every row sums to one, whatever was seen", () => {
    fc.assert(
      fc.property(market, (shape) => {
        const trace = madeUpMarket(shape);
        const tally = newTally(trace.rowMs);
        for (let row = 0; row < 300; row += 1)
          observe(
            tally,
            trace.zones.map((_, z) => ({
              available: trace.up[z]?.[row] === 1,
              usdPerHour: trace.price[z]?.[row] ?? 0,
            })),
          );
        const { follows, stays, goes } = outlookOf(JSON.parse(JSON.stringify(tally)), 1);
        const states = Math.sqrt(follows.length);
        const ages = Math.sqrt(stays.length);
        const sum = (row: Float64Array): number => row.reduce((a, b) => a + b, 0);
        for (let s = 0; s < states; s += 1)
          assert.ok(Math.abs(sum(follows.subarray(s * states, (s + 1) * states)) - 1) < 1e-9);
        for (let a = 0; a < ages; a += 1) {
          const both = sum(stays.subarray(a * ages, (a + 1) * ages)) + sum(goes.subarray(a * states, (a + 1) * states));
          assert.ok(Math.abs(both - 1) < 1e-9);
        }
      }),
      { numRuns: 20 },
    );
  });
});
