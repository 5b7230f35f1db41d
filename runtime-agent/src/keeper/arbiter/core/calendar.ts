import type { ArbiterConfig, CalendarConfig } from "./config.ts";
import type { LocalTime } from "./localTime.ts";
import { dayOfDate, localTime, weekdayOf } from "./localTime.ts";

/** The next instant at which something opens or closes. */
export interface Edge {
  /** Unix milliseconds. */
  readonly atMs: number;
  /** Whether it is open, or inside, from then on. */
  readonly opens: boolean;
}

/**
 * What the calendar says of an instant. Where a clock set back shows a time twice, the strict side holds: the market
 * opens at the first and closes at the last, the Muse's night begins at the last and ends at the first. A time that a
 * clock set forward skips is the instant of the change.
 */
export interface Calendar {
  marketOpenAt(wallMs: number): boolean;
  /** Undefined when it opens no more within 400 days. */
  nextMarketEdge(wallMs: number): Edge | undefined;
  /** Whether the Muse's night is on, and when that changes. */
  museWindowAt(wallMs: number): { readonly inside: boolean; readonly edge: Edge | undefined };
}

/** From `from` (included) to `to` (excluded), Unix milliseconds. */
interface Span {
  readonly from: number;
  readonly to: number;
}

/** The span that begins on a local day, if any does. */
type SpanOf = (day: number) => Span | undefined;

const farthestDays = 400;
/** Beyond this `Date` knows no day; the margin lets edges be looked for. */
const farthestMs = 8.64e15 - (farthestDays + 7) * 86_400_000;

/** Throws `RangeError` when the runtime does not know the time zone. */
export function createCalendar(config: CalendarConfig): Calendar {
  const zone = localTime(config.timeZone);
  const market = remembered(zone, marketSpans(config, zone));
  const muse = remembered(zone, museSpans(config, zone));
  return {
    // A clock that cannot be read leaves the strict side: market open, no night.
    marketOpenAt: (wallMs) => config.market !== undefined && (!readable(wallMs) || market(wallMs).inside),
    nextMarketEdge: (wallMs) => (readable(wallMs) ? market(wallMs).edge : undefined),
    museWindowAt: (wallMs) => (readable(wallMs) ? muse(wallMs) : { inside: false, edge: undefined }),
  };
}

const calendars = new WeakMap<ArbiterConfig, Calendar>();

/** The calendar of a configuration, made once. */
export function calendarOf(config: ArbiterConfig): Calendar {
  const known = calendars.get(config);
  if (known !== undefined) return known;
  const made = createCalendar(config.calendar);
  calendars.set(config, made);
  return made;
}

function readable(wallMs: number): boolean {
  return Number.isFinite(wallMs) && Math.abs(wallMs) < farthestMs;
}

function marketSpans(config: CalendarConfig, zone: LocalTime): SpanOf {
  const { market } = config;
  if (market === undefined) return () => undefined;
  const holidays = new Set(market.holidays.map(dayOfDate));
  const days = new Set(market.days);
  return (day) => {
    if (!days.has(weekdayOf(day)) || holidays.has(day)) return undefined;
    const closesOn = market.closeMinute > market.openMinute ? day : day + 1;
    return {
      from: zone.instants(day, market.openMinute).first,
      to: zone.instants(closesOn, market.closeMinute).last,
    };
  };
}

function museSpans(config: CalendarConfig, zone: LocalTime): SpanOf {
  const { fromMinute, toMinute } = config.muse;
  return (day) => ({
    from: zone.instants(day, fromMinute).last,
    to: zone.instants(toMinute > fromMinute ? day : day + 1, toMinute).first,
  });
}

interface Answer {
  readonly inside: boolean;
  readonly edge: Edge | undefined;
}

/** Looks an instant up, and answers from memory until the next edge. */
function remembered(zone: LocalTime, spanOf: SpanOf): (wallMs: number) => Answer {
  let since = Number.NaN;
  let answer: Answer = { inside: false, edge: undefined };
  let until = Number.NaN;
  return (wallMs) => {
    if (wallMs >= since && wallMs < until) return answer;
    answer = lookUp(zone, spanOf, wallMs);
    since = wallMs;
    until = answer.edge?.atMs ?? wallMs + 86_400_000;
    return answer;
  };
}

function lookUp(zone: LocalTime, spanOf: SpanOf, wallMs: number): Answer {
  const today = zone.dayAt(wallMs);
  let end: number | undefined;
  for (let day = today - 1; day <= today + farthestDays; day += 1) {
    const span = spanOf(day);
    if (span === undefined || span.to <= wallMs || span.to <= span.from) continue;
    // Spans that touch are one: a market that never closes has no edge at midnight.
    if (end === undefined && span.from > wallMs) return { inside: false, edge: { atMs: span.from, opens: true } };
    if (end !== undefined && span.from > end) break;
    end = span.to;
  }
  return end === undefined ? { inside: false, edge: undefined } : { inside: true, edge: { atMs: end, opens: false } };
}
