import assert from "node:assert/strict";
import fc from "fast-check";
import { CarbonForecaster, type Forecast, horizon } from "../../runtime-agent/src/nerve/core/carbonForecast.ts";
import { Ridge } from "../../runtime-agent/src/nerve/core/carbonRidge.ts";
import { slotMs, slotsPerDay } from "../../runtime-agent/src/nerve/core/carbonShape.ts";
import { computeNow, decide } from "../../runtime-agent/src/nerve/core/carbonShift.ts";
import { beginOf, forecastsOf, replay } from "../bench/carbon/replay.ts";
import { type CarbonSeries, parseSeries } from "../bench/carbon/series.ts";

/** Monday, 6 January 2020, 00:00 UTC. */
const firstSlot = Date.UTC(2020, 0, 6) / slotMs;
const hour = 3_600_000;

/** A grid whose nights are green, weekends too, with weather that wanders; the same for the same seed. */
function madeSeries(days: number, seed: number, weather = 3): CarbonSeries {
  let state = seed;
  const random = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647 - 0.5;
  let drift = 0;
  const grams = Float64Array.from({ length: days * slotsPerDay }, (_, row) => {
    drift = drift * 0.98 + random() * weather;
    const weekend = Math.floor(row / slotsPerDay) % 7 >= 5 ? 0.85 : 1;
    return (60 - 15 * Math.cos((2 * Math.PI * ((row % slotsPerDay) - 7)) / slotsPerDay)) * weekend + drift;
  });
  return { firstSlot, grams };
}

const forecastFrom = (nowMs: number, grams: readonly number[]): Forecast => ({
  firstSlot: Math.floor(nowMs / slotMs),
  grams: Float64Array.from(grams),
});
const dayOfGrams = fc.array(fc.double({ min: 1, max: 500, noNaN: true }), { minLength: horizon, maxLength: horizon });
const anyJob = fc.record({
  nowMs: fc.integer({ min: 0, max: 10 * slotMs }),
  durationMs: fc.integer({ min: 1, max: 40 * hour }),
  slackMs: fc.integer({ min: -hour, max: 40 * hour }),
});

describe("Nerve: when a job begins, by carbon", () => {
  it("never begins after the last moment, and each wait gets closer to it", () => {
    fc.assert(
      fc.property(anyJob, dayOfGrams, ({ nowMs, durationMs, slackMs }, grams) => {
        const job = { durationMs, deadlineMs: nowMs + durationMs + slackMs };
        const last = nowMs + slackMs;
        let now = nowMs;
        for (let asked = 0; ; asked += 1) {
          assert.ok(asked < 100, "it asks once each half hour");
          const choice = decide(now, job, forecastFrom(now, grams));
          if (choice.begin) break;
          assert.ok(choice.untilMs > now && choice.untilMs <= last);
          assert.ok(choice.plannedMs > now && choice.plannedMs <= last);
          now = choice.untilMs;
        }
        assert.ok(now <= Math.max(last, nowMs));
      }),
      { numRuns: 60 },
    );
  });

  it("plans the greenest window of all that meet the deadline", () => {
    fc.assert(
      fc.property(dayOfGrams, fc.integer({ min: 1, max: 40 }), (grams, slack) => {
        const job = { durationMs: 8 * slotMs, deadlineMs: (8 + slack) * slotMs };
        const costs = (from: number): number =>
          Array.from({ length: 8 }, (_, half) => grams[(from + half) % horizon] ?? 0).reduce((a, b) => a + b, 0);
        const choice = decide(0, job, forecastFrom(0, grams));
        const planned = choice.begin ? 0 : choice.plannedMs / slotMs;
        for (let from = 0; from <= slack; from += 1) assert.ok(costs(planned) <= costs(from) * (1 + 1e-6));
      }),
      { numRuns: 40 },
    );
  });

  it("begins at once when it knows nothing, when nothing is gained, and when there is no time to lose", () => {
    const job = { durationMs: hour, deadlineMs: 20 * hour };
    assert.deepEqual(decide(0, job, undefined), { begin: true, why: "no forecast" });
    const flat = forecastFrom(0, new Array<number>(horizon).fill(50));
    assert.deepEqual(decide(0, job, flat), { begin: true, why: "greenest now" });
    assert.deepEqual(decide(19 * hour, job, flat), { begin: true, why: "last moment" });
    assert.deepEqual(decide(30 * hour, job, flat), { begin: true, why: "last moment" });
  });

  it("computes a job that can be stopped within its deadline, in the greenest half hours of a right forecast", () => {
    fc.assert(
      fc.property(
        dayOfGrams,
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 0, max: 28 }),
        (grams, work, spare) => {
          const deadlineMs = (work + spare) * slotMs;
          const taken: number[] = [];
          for (let now = 0; taken.length < work; now += 1) {
            assert.ok(now < work + spare);
            const job = { durationMs: (work - taken.length) * slotMs, deadlineMs };
            const ahead = [...grams.slice(now), ...grams.slice(0, now)];
            if (computeNow(now * slotMs, job, forecastFrom(now * slotMs, ahead))) taken.push(grams[now] ?? 0);
          }
          const best = grams.slice(0, work + spare).sort((a, b) => a - b);
          const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
          assert.ok(sum(taken) <= sum(best.slice(0, work)) * (1 + 1e-6));
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe("Nerve: the forecast of carbon", () => {
  it("no past forecast and no past decision changes with rows that come later", () => {
    const series = madeSeries(14, 7);
    const forecasts = forecastsOf(series);
    for (const cut of [460, 555, 610]) {
      const grams = series.grams.map((value, row) => (row < cut ? value : 300 - value * (1 + (row % 5))));
      const changed = { ...series, grams };
      const others = forecastsOf(changed);
      assert.deepEqual(others.slice(0, cut + 1), forecasts.slice(0, cut + 1));
      assert.notDeepEqual(others[cut + 1], forecasts[cut + 1], "the change is seen by what comes after it");
      for (let row = cut - 60; row <= cut; row += 1) {
        const [before, after] = [beginOf(series, forecasts, row), beginOf(changed, others, row)];
        assert.equal(Math.min(after, cut + 1), Math.min(before, cut + 1));
      }
    }
  });

  it("learns a grid of habits, and saves nearly what a perfect forecast would", () => {
    const { saved, late, jobs } = replay(madeSeries(21, 3, 0), 14 * slotsPerDay);
    assert.ok(saved.ours / saved.oracle > 0.95, String(saved.ours / saved.oracle));
    assert.ok(saved.interruptible / saved.freeOracle > 0.95);
    assert.equal(late, 0);
    assert.equal(jobs, (7 * slotsPerDay - 48) / 2 + 1);
  });

  it("beats yesterday's shape under weather, and no policy beats the oracle", () => {
    const { saved } = replay(madeSeries(24, 11), 14 * slotsPerDay);
    assert.ok(saved.ours > saved.persistence);
    for (const policy of [saved.ours, saved.persistence, saved.fixed]) assert.ok(policy <= saved.oracle);
    assert.ok(saved.freeOracle >= saved.oracle && saved.interruptible <= saved.freeOracle);
  });

  it("says nothing for eight days of rows, then always numbers, also after gaps, zeros and nonsense", () => {
    const forecaster = new CarbonForecaster(firstSlot);
    const { grams } = madeSeries(10, 5);
    // This slot and row 0 come before the first value: they do not count.
    forecaster.observe(undefined);
    grams.forEach((value, row) => {
      const known = forecaster.forecast();
      if (row <= 8 * slotsPerDay) assert.equal(known, undefined);
      else
        assert.ok(
          known?.grams.every((gram) => Number.isFinite(gram) && gram > 0) && known.firstSlot === forecaster.nextSlot,
        );
      forecaster.observe(row % 11 === 0 ? undefined : row % 13 === 0 ? 0 : row % 17 === 0 ? Number.NaN : value);
    });
  });
});

describe("Nerve: least squares with a prior", () => {
  it("keeps to its prior without rows, and finds the weights with many", () => {
    const options = { prior: [1, -1], strength: [0.01, 0.01], keep: 1 };
    const ridge = new Ridge(options);
    ridge.solve();
    assert.ok(Math.abs(ridge.predict(Float64Array.of(2, 1)) - 1) < 1e-9);
    for (let row = 0; row < 400; row += 1) {
      const input = Float64Array.of(Math.sin(row), Math.cos(3 * row));
      ridge.learn(input, 5 * (input[0] ?? 0) + 2 * (input[1] ?? 0));
    }
    ridge.solve();
    assert.ok(Math.abs(ridge.predict(Float64Array.of(2, 1)) - 12) < 0.01);
  });
});

describe("benchmark carbon: its series", () => {
  it("averages finer rows by half hour, leaves a gap as one, and knows zones", () => {
    const text =
      "Time,Carbon Intensity\n2020-01-06 00:00:00,10\n2020-01-06 00:15:00,20\n2020-01-06T02:00:00+01:00,40\n";
    const { firstSlot: first, grams } = parseSeries(text, "made.csv");
    assert.equal(first, firstSlot);
    assert.deepEqual([...grams], [15, Number.NaN, 40]);
  });

  it("names the file and the row of what is no measurement", () => {
    for (const row of ["yesterday,10", "2020-01-06 00:00:00,", "2020-01-06 00:00:00,-1", "2020-01-06 00:00:00"])
      assert.throws(() => parseSeries(`Time,Carbon Intensity\n${row}\n`, "made.csv"), /made\.csv, row 2/);
    assert.throws(() => parseSeries("Time,Carbon Intensity\n", "made.csv"), /made\.csv: from its first/);
    assert.throws(() => replay(madeSeries(3, 1)), /it needs/);
  });
});
