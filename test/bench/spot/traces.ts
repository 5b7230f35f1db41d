/**
 * Reads a folder of spot traces, where they lie: `availability/<zone>_<anything>.csv` (`date,availability`, 1 is
 * available) and `*prices.json` (for each availability file's name without `.csv` one price a row, USD/h). Zones of one
 * region share a clock.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";

/** Availability and price of one region's zones, on one grid of rows. */
export interface RegionTrace {
  readonly region: string;
  readonly zones: readonly string[];
  readonly rows: number;
  readonly rowMs: number;
  /** Time of row 0, ms since 1970. */
  readonly startMs: number;
  /** By zone, by row: 1 where spot is to be had. */
  readonly up: readonly Uint8Array[];
  /** By zone, by row, USD/h. */
  readonly price: readonly Float64Array[];
}

const priceFile = z.record(z.string(), z.array(z.number().positive()));
interface ZoneRows {
  readonly zone: string;
  readonly timesMs: readonly number[];
  readonly up: readonly number[];
  readonly price: readonly number[];
}

/** @throws Error that names the file and what is wrong with it */
export function readTraces(folder: string): RegionTrace[] {
  const availability = join(folder, "availability");
  if (!existsSync(availability)) throw new Error(`--traces ${folder}: there is no folder availability/ in it`);
  const prices = new Map<string, readonly number[]>();
  for (const file of readdirSync(folder).filter((name) => name.endsWith("prices.json")))
    for (const [name, values] of Object.entries(priceFile.parse(readJson(join(folder, file)))))
      prices.set(name, values);
  const byRegion = new Map<string, ZoneRows[]>();
  for (const file of readdirSync(availability).sort()) {
    if (!file.endsWith(".csv")) continue;
    const name = basename(file, ".csv");
    const zone = name.split("_")[0] ?? name;
    const price = prices.get(name);
    if (price === undefined)
      throw new Error(`${join(availability, file)}: no *prices.json has the prices of "${name}"`);
    const rows = readAvailability(join(availability, file));
    if (price.length < rows.timesMs.length)
      throw new Error(`"${name}" has ${String(rows.timesMs.length)} rows and ${String(price.length)} prices`);
    const region = zone.replace(/[a-z]$/, "");
    byRegion.set(region, [...(byRegion.get(region) ?? []), { zone, price, ...rows }]);
  }
  if (byRegion.size === 0) throw new Error(`${availability}: there is no .csv in it`);
  return [...byRegion].map(([region, zones]) => onOneGrid(region, zones));
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, "utf8"));
}

function readAvailability(file: string): { readonly timesMs: number[]; readonly up: number[] } {
  const timesMs: number[] = [];
  const up: number[] = [];
  for (const [index, line] of readFileSync(file, "utf8").trim().split("\n").slice(1).entries()) {
    const [date = "", value = ""] = line.trim().split(",");
    const at = Date.parse(`${date.replace(" ", "T")}Z`);
    const wrong = Number.isNaN(at) ? `the date "${date}"` : value !== "" && Number(value) >= 0 ? "" : `"${value}"`;
    if (wrong !== "") throw new Error(`${file}, line ${String(index + 2)}: ${wrong} cannot be read`);
    if (at <= (timesMs.at(-1) ?? Number.NEGATIVE_INFINITY))
      throw new Error(`${file}, line ${String(index + 2)}: the time does not rise`);
    timesMs.push(at);
    up.push(Number(value) >= 1 ? 1 : 0);
  }
  if (timesMs.length < 2) throw new Error(`${file}: at least two rows are needed`);
  return { timesMs, up };
}

/** Rows that a recorder missed repeat the one before, so that time is true; no row looks ahead. */
function onOneGrid(region: string, zones: readonly ZoneRows[]): RegionTrace {
  const steps = zones.flatMap(({ timesMs }) => timesMs.slice(1).map((at, n) => at - (timesMs[n] ?? at)));
  const rowMs = steps.sort((a, b) => a - b)[Math.floor(steps.length / 2)] ?? 1;
  const startMs = Math.max(...zones.map(({ timesMs }) => timesMs[0] ?? 0));
  const endMs = Math.min(...zones.map(({ timesMs }) => timesMs.at(-1) ?? 0));
  const rows = Math.max(0, Math.floor((endMs - startMs) / rowMs) + 1);
  const up: Uint8Array[] = [];
  const price: Float64Array[] = [];
  for (const zone of zones) {
    const [zoneUp, zonePrice] = [new Uint8Array(rows), new Float64Array(rows)];
    for (let row = 0, from = 0; row < rows; row += 1) {
      // Half a row of grace: a recorder's clock wanders.
      while ((zone.timesMs[from + 1] ?? Number.POSITIVE_INFINITY) <= startMs + (row + 0.5) * rowMs) from += 1;
      zoneUp[row] = zone.up[from] ?? 0;
      zonePrice[row] = zone.price[from] ?? 0;
    }
    up.push(zoneUp);
    price.push(zonePrice);
  }
  return { region, zones: zones.map(({ zone }) => zone), rows, rowMs, startMs, up, price };
}
