/** Reads a carbon series: `Time,Carbon Intensity`, UTC and g/kWh, as `dos-group/lets-wait-awhile` publishes them. */
import { readFileSync } from "node:fs";
import { slotMs } from "../../../runtime-agent/src/nerve/core/carbonShape.ts";

export interface CarbonSeries {
  /** Half hour since 1970 of the first value. */
  readonly firstSlot: number;
  /** g/kWh, one for each half hour; NaN where no row was. */
  readonly grams: Float64Array;
}

/** A longer series is no year of a grid: its first and last time are wrong. */
const mostSlots = 48 * 366 * 20;

/** @throws Error that names the file, the row and what is wrong with it */
export function readSeries(file: string): CarbonSeries {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new Error(`--series ${file}: cannot be read; give a CSV file with the columns time and g/kWh`, {
      cause: error,
    });
  }
  return parseSeries(text, file);
}

/** Rows of any step up to an hour; finer ones are averaged by half hour. @throws Error as `readSeries` */
export function parseSeries(text: string, file: string): CarbonSeries {
  const found = new Map<number, { sum: number; count: number }>();
  text
    .trim()
    .split("\n")
    .forEach((line, index) => {
      if (index === 0) return;
      const [time = "", grams = ""] = line.trim().split(",");
      const ms = timeOf(time);
      const value = grams === "" ? Number.NaN : Number(grams);
      if (!Number.isFinite(ms) || !Number.isFinite(value) || value < 0)
        throw new Error(`${file}, row ${String(index + 1)}: "${line}" is not a time and a value of at least 0 g/kWh`);
      const slot = Math.floor(ms / slotMs);
      const half = found.get(slot) ?? { sum: 0, count: 0 };
      found.set(slot, { sum: half.sum + value, count: half.count + 1 });
    });
  let [first, last] = [Infinity, -Infinity];
  for (const slot of found.keys()) [first, last] = [Math.min(first, slot), Math.max(last, slot)];
  const length = last - first + 1;
  if (!(length >= 1 && length <= mostSlots))
    throw new Error(`${file}: from its first to its last row it must be between half an hour and 20 years`);
  const grams = new Float64Array(length).fill(Number.NaN);
  for (const [slot, { sum, count }] of found) grams[slot - first] = sum / count;
  return { firstSlot: first, grams };
}

/** A time without a zone is UTC. */
function timeOf(text: string): number {
  const zoned = /(Z|[+-]\d\d:?\d\d)$/.test(text);
  return Date.parse(zoned ? text : `${text.replace(" ", "T")}Z`);
}
