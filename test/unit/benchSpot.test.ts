import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { measureSpot } from "../bench/spot/index.ts";
import { omniscient } from "../bench/spot/omniscient.ts";
import { type Job, type Place, idle, onDemand, replay } from "../bench/spot/replay.ts";
import { readTraces } from "../bench/spot/traces.ts";
import { madeUpMarket } from "../support/spotTraces.ts";

/** The least of all plans that are in time, tried one by one; hops as often as it likes. */
function tryAll(trace: ReturnType<typeof madeUpMarket>, job: Job, price: number): number {
  const places: Place[] = [idle, onDemand, ...trace.zones.keys()];
  let least = Number.POSITIVE_INFINITY;
  const plan: Place[] = [];
  const extend = (): void => {
    if (plan.length === job.deadline) {
      const outcome = replay(trace, 0, job, price, { place: (seen) => plan[seen.elapsed] ?? idle });
      if (outcome.took <= job.deadline) least = Math.min(least, outcome.cost);
      return;
    }
    for (const place of places) {
      plan.push(place);
      extend();
      plan.pop();
    }
  };
  extend();
  return least;
}

/** A folder of traces in the data set's form, an hour a row. */
function folderOf(days: number, write: (folder: string) => void = () => {}): { readonly folder: string } & Disposable {
  const folder = mkdtempSync(join(tmpdir(), "spot-"));
  const { zones, up, price } = madeUpMarket({ seed: 5, rows: days * 24, zones: 2, upRows: 12, downRows: 4 });
  mkdirSync(join(folder, "availability"));
  const prices: Record<string, number[]> = {};
  for (const [n, zone] of zones.entries()) {
    const rows = [...(up[n] ?? [])].map((is, row) => {
      const at = new Date(Date.UTC(2023, 1, 1, row)).toISOString().slice(0, 19).replace("T", " ");
      return `${at},${String(is)}`;
    });
    writeFileSync(join(folder, "availability", `${zone}_v100_1.csv`), `date,availability\n${rows.join("\n")}\n`);
    prices[`${zone}_v100_1`] = [...(price[n] ?? [])];
  }
  writeFileSync(join(folder, "v100_spot_prices.json"), JSON.stringify(prices));
  write(folder);
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

describe("benchmark spot", () => {
  it("the bound is the least of all plans, tried one by one", () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 2 }),
        fc.integer({ min: 0, max: 3 }),
        (seed, work, changeover, room) => {
          const deadline = Math.min(6, work + changeover + room);
          const trace = madeUpMarket({ seed, rows: 8, zones: 2, upRows: 3, downRows: 2 });
          const job = { work, changeover, deadline };
          const bound = omniscient(trace, 3.06)(0, job);
          assert.ok(Math.abs(bound.cost - tryAll(trace, job, 3.06)) < 1e-9);
        },
      ),
      { numRuns: 12 },
    );
  });

  it("replays any folder of the data set's form: figures, and a row for each cell", async () => {
    using made = folderOf(24);
    const { figures, cells } = await measureSpot(made.folder, 60, () => {});
    assert.equal(cells.length, 3);
    assert.equal(figures["late"], 0);
    assert.equal(figures["hopLimitBroken"], 0);
    assert.ok((figures["starts"] ?? 0) >= 60 && (figures["troubledStarts"] ?? 0) >= 240);
    for (const name of ["gapClosedShare", "worstCellPoints", "dividedBy"])
      assert.ok(Number.isFinite(figures[name]), name);
    for (const cell of cells)
      for (const name of ["ours", "uniformProgress", "uniformProgressOneZone", "greedy", "onDemand", "omniscient"])
        assert.ok(name in cell, name);
  });

  it("bills a replay row by row: changeover, hops, and what runs when", () => {
    const trace = {
      ...madeUpMarket({ seed: 1, rows: 8, zones: 2, upRows: 9, downRows: 1 }),
      rowMs: 3_600_000,
      up: [Uint8Array.of(1, 1, 0, 0, 0, 0, 0, 0), Uint8Array.of(0, 0, 1, 1, 1, 0, 0, 0)],
      price: [new Float64Array(8).fill(1), new Float64Array(8).fill(2)],
    };
    const places = [0, 0, 1, 1, 1, onDemand, onDemand];
    const outcome = replay(trace, 0, { work: 4, changeover: 1, deadline: 8 }, 3, {
      place: (s) => places[s.elapsed] ?? idle,
    });
    assert.deepEqual(outcome, { cost: 14, took: 7, hops: 1, spotRows: 5, onDemandRows: 2, brokeLimit: false });
  });

  it("says what is wrong with a folder", async () => {
    await assert.rejects(
      measureSpot(undefined, 1, () => {}),
      /--traces is missing/,
    );
    using short = folderOf(16);
    await assert.rejects(
      measureSpot(short.folder, 1, () => {}),
      /too short/,
    );
    using odd = folderOf(2, (folder) => {
      writeFileSync(
        join(folder, "availability", "xx-test-1a_v100_1.csv"),
        "date,availability\n2023-02-01 00:00:00,up\n",
      );
    });
    assert.throws(() => readTraces(odd.folder), /line 2: "up" cannot be read/);
    using strange = folderOf(2, (folder) => writeFileSync(join(folder, "availability", "zz.csv"), ""));
    assert.throws(() => readTraces(strange.folder), /has the prices of "zz"/);
  });

  it("rows that a recorder missed repeat the one before", () => {
    using made = folderOf(2, (folder) => {
      const rows = ["00:00:00,1", "01:00:00,0", "04:00:00,1", "05:00:00,1"].map((row) => `2023-02-01 ${row}`);
      for (const zone of ["a", "b"])
        writeFileSync(
          join(folder, "availability", `xx-test-1${zone}_v100_1.csv`),
          ["date,availability", ...rows].join("\n"),
        );
    });
    const [trace] = readTraces(made.folder);
    assert.deepEqual([...(trace?.up[0] ?? [])], [1, 0, 0, 0, 1, 1]);
  });
});
