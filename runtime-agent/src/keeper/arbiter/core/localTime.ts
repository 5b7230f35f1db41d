/**
 * Local time of one IANA time zone, by `Intl` alone. The formatter is made once and the offset of the last quarter of
 * an hour is kept: zones change their offset only on quarters of an hour.
 */
export interface LocalTime {
  /** Milliseconds to add to Unix time to get local time. */
  offsetAt(wallMs: number): number;
  /** Days since 1970-01-01 of the local date. */
  dayAt(wallMs: number): number;
  /**
   * The instants at which local clocks show `minute` (after midnight) of that day: two when a clock is set back over it;
   * when it is skipped, both are the instant of the change.
   */
  instants(day: number, minute: number): { readonly first: number; readonly last: number };
}

const quarterMs = 900_000;
export const dayMs = 86_400_000;
const minuteMs = 60_000;

/** Throws `RangeError` when the runtime does not know the zone. */
export function localTime(timeZone: string): LocalTime {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone,
    hourCycle: "h23",
    era: "short",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  let quarter = Number.NaN;
  let offset = 0;

  function offsetAt(wallMs: number): number {
    const now = Math.floor(wallMs / quarterMs);
    if (now !== quarter) {
      offset = readOffset(format, now * quarterMs);
      quarter = now;
    }
    return offset;
  }

  return {
    offsetAt,
    dayAt: (wallMs) => Math.floor((wallMs + offsetAt(wallMs)) / dayMs),
    instants(day, minute) {
      const local = day * dayMs + minute * minuteMs;
      // A zone changes at most once within a day of either side; both offsets are tried.
      const before = offsetAt(local - dayMs);
      const after = offsetAt(local + dayMs);
      const early = local - before;
      const late = local - after;
      if (before === after) return { first: early, last: early };
      const shown = [early, late].filter((at) => at + offsetAt(at) === local);
      if (shown.length > 0) return { first: Math.min(...shown), last: Math.max(...shown) };
      const change = changeBetween(offsetAt, Math.min(early, late), Math.max(early, late));
      return { first: change, last: change };
    },
  };
}

function readOffset(format: Intl.DateTimeFormat, wallMs: number): number {
  const part: Record<string, number> = {};
  let beforeChrist = false;
  for (const { type, value } of format.formatToParts(wallMs)) {
    if (type === "era") beforeChrist = value.startsWith("B");
    else if (type !== "literal") part[type] = Number(value);
  }
  const year = beforeChrist ? 1 - (part["year"] ?? 0) : (part["year"] ?? 0);
  const local = new Date(0);
  local.setUTCFullYear(year, (part["month"] ?? 1) - 1, part["day"] ?? 1);
  local.setUTCHours(part["hour"] ?? 0, part["minute"] ?? 0, part["second"] ?? 0, 0);
  return local.getTime() - wallMs;
}

/** The first instant of the later offset, to the quarter. */
function changeBetween(offsetAt: (wallMs: number) => number, from: number, to: number): number {
  let low = Math.floor(from / quarterMs);
  let high = Math.ceil(to / quarterMs);
  const earlier = offsetAt(low * quarterMs);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(middle * quarterMs) === earlier) low = middle;
    else high = middle;
  }
  return high * quarterMs;
}

/** `2026-12-25` as days since 1970-01-01; undefined when it is no date. */
export function dayOfDate(date: string): number | undefined {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(date);
  if (match === null) return undefined;
  const at = new Date(`${date}T00:00:00Z`).getTime();
  return Number.isNaN(at) || new Date(at).toISOString().slice(0, 10) !== date ? undefined : at / dayMs;
}

/** Day of the week of days since 1970-01-01, 0 Sunday to 6 Saturday. */
export function weekdayOf(day: number): number {
  return (((day + 4) % 7) + 7) % 7;
}
