/** Small made-up spot markets: each zone is up and down for spells of random length. */
import type { RegionTrace } from "../bench/spot/traces.ts";
import { seededRandom } from "./seeded.ts";

export interface MarketShape {
  readonly seed: number;
  readonly rows: number;
  readonly zones: number;
  /** Mean rows of a spell in which a zone is up, and of one in which it is not. */
  readonly upRows: number;
  readonly downRows: number;
}

const rowMs = 195_000;

export function madeUpMarket({ seed, rows, zones, upRows, downRows }: MarketShape): RegionTrace {
  const random = seededRandom(seed);
  const names = Array.from({ length: zones }, (_, zone) => `xx-test-1${String.fromCharCode(97 + zone)}`);
  const up = names.map(() => {
    const column = new Uint8Array(rows);
    let [is, left] = [random() < 0.5, 0];
    for (let row = 0; row < rows; row += 1, left -= 1) {
      if (left <= 0) {
        is = !is;
        left = 1 - Math.log(1 - random()) * (is ? upRows : downRows);
      }
      column[row] = is ? 1 : 0;
    }
    return column;
  });
  const price = names.map(() => {
    const column = new Float64Array(rows);
    let now = 0.918;
    for (let row = 0; row < rows; row += 1) {
      if (random() < 0.01) now = 0.85 + 0.3 * random();
      column[row] = now;
    }
    return column;
  });
  return { region: "xx-test-1", zones: names, rows, rowMs, startMs: 0, up, price };
}

/** The same market up to a row, and another one from there on. */
export function otherFuture(trace: RegionTrace, from: number, seed: number): RegionTrace {
  const other = madeUpMarket({ seed, rows: trace.rows, zones: trace.zones.length, upRows: 20, downRows: 60 });
  return {
    ...trace,
    up: trace.up.map((past, zone) => past.map((value, row) => (row < from ? value : (other.up[zone]?.[row] ?? 0)))),
    price: trace.price.map((past, zone) =>
      past.map((value, row) => (row < from ? value : (other.price[zone]?.[row] ?? 0))),
    ),
  };
}
