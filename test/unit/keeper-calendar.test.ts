import assert from "node:assert/strict";
import fc from "fast-check";
import { createCalendar } from "../../runtime-agent/src/keeper/arbiter/core/calendar.ts";
import type { CalendarConfig, MarketHours } from "../../runtime-agent/src/keeper/arbiter/core/config.ts";
import { dayOfDate, localTime, weekdayOf } from "../../runtime-agent/src/keeper/arbiter/core/localTime.ts";

const market: MarketHours = { openMinute: 480, closeMinute: 1380, days: [1, 2, 3, 4, 5], holidays: ["2026-12-25"] };
const paris: CalendarConfig = { timeZone: "Europe/Paris", market, muse: { fromMinute: 1380, toMinute: 420 } };
const zones = ["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "Africa/Casablanca"];
const instant = fc.integer({ min: Date.UTC(2020, 0), max: Date.UTC(2032, 0) });

/** The local date and time that `Intl` itself shows, to the minute. */
function shown(timeZone: string, wallMs: number): { readonly day: number; readonly minute: number } {
  const [date = "", time = ""] = new Date(wallMs).toLocaleString("sv-SE", { timeZone }).split(" ");
  const [hours = 0, minutes = 0] = time.split(":").map(Number);
  return { day: dayOfDate(date) ?? Number.NaN, minute: hours * 60 + minutes };
}

describe("the calendar", () => {
  it("is open on Monday to Friday from 8 to 23, to the millisecond, and on no holiday", () => {
    const calendar = createCalendar(paris);
    const open = (iso: string): boolean => calendar.marketOpenAt(Date.parse(iso));
    assert.deepEqual(
      ["2026-11-18T07:59:59.999+01:00", "2026-11-18T08:00:00+01:00", "2026-11-18T22:59:59.999+01:00"].map(open),
      [false, true, true],
    );
    assert.deepEqual(
      ["2026-11-18T23:00:00+01:00", "2026-11-21T12:00:00+01:00", "2026-12-25T12:00:00+01:00"].map(open),
      [false, false, false],
    );
    assert.equal(open("2026-12-28T12:00:00+01:00"), true);
  });

  it("knows the next edge across a weekend and a holiday", () => {
    const calendar = createCalendar(paris);
    const christmasEve = calendar.nextMarketEdge(Date.parse("2026-12-24T23:00:00+01:00"));
    assert.deepEqual(christmasEve, { atMs: Date.parse("2026-12-28T08:00:00+01:00"), opens: true });
  });

  it("counts the nights of the changed clocks right: seven hours and nine", () => {
    const calendar = createCalendar(paris);
    const hours = (iso: string): number => {
      const at = Date.parse(iso);
      const { inside, edge } = calendar.museWindowAt(at);
      assert.ok(inside && edge !== undefined && !edge.opens);
      return (edge.atMs - at) / 3_600_000;
    };
    assert.equal(hours("2026-03-28T23:00:00+01:00"), 7);
    assert.equal(hours("2026-10-24T23:00:00+02:00"), 9);
    assert.equal(hours("2026-11-18T23:00:00+01:00"), 8);
  });

  it("agrees with Intl at any instant of any zone", () => {
    fc.assert(
      fc.property(fc.constantFrom(...zones), instant, (timeZone, wallMs) => {
        const zone = localTime(timeZone);
        const { day, minute } = shown(timeZone, wallMs);
        assert.equal(zone.dayAt(wallMs), day);
        const { first, last } = zone.instants(day, minute);
        const of = Math.floor(wallMs / 60_000) * 60_000;
        assert.ok(first === of || last === of, "the instants of a shown time hold that time");
        assert.deepEqual(shown(timeZone, first), { day, minute });
        assert.deepEqual(shown(timeZone, last), { day, minute });
      }),
      { numRuns: 300 },
    );
  });

  it("changes at its next edge and not before it", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...zones),
        instant,
        fc.nat(1439),
        fc.nat(1440),
        (timeZone, wallMs, openMinute, closeMinute) => {
          const muse = { fromMinute: closeMinute % 1440, toMinute: openMinute };
          const calendar = createCalendar({ timeZone, market: { ...market, openMinute, closeMinute }, muse });
          const now = calendar.marketOpenAt(wallMs);
          const edge = calendar.nextMarketEdge(wallMs);
          assert.ok(edge !== undefined && edge.atMs > wallMs);
          assert.equal(edge.opens, !now);
          // A calendar without memory says the same at every instant in between.
          const fresh = (at: number): boolean =>
            createCalendar({ timeZone, market: { ...market, openMinute, closeMinute }, muse }).marketOpenAt(at);
          assert.equal(fresh(edge.atMs - 1), now);
          assert.equal(fresh(edge.atMs), !now);
          assert.equal(fresh(Math.floor((wallMs + edge.atMs) / 2)), now);
        },
      ),
      { numRuns: 100 },
    );
  });

  it("is strict with a clock that cannot be read: market open, no night", () => {
    const calendar = createCalendar(paris);
    for (const wallMs of [Number.NaN, Number.POSITIVE_INFINITY, -9e15]) {
      assert.equal(calendar.marketOpenAt(wallMs), true);
      assert.deepEqual(calendar.museWindowAt(wallMs), { inside: false, edge: undefined });
    }
  });

  it("refuses dates that are none, and knows the days of the week", () => {
    assert.equal(dayOfDate("2026-02-30"), undefined);
    assert.equal(dayOfDate("25.12.2026"), undefined);
    assert.equal(weekdayOf(dayOfDate("2026-12-25") ?? 0), 5);
  });
});
