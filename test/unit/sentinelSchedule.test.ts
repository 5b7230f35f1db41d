import assert from "node:assert/strict";
import fc from "fast-check";
import { keyForm } from "../../runtime-agent/src/sentinel/routes/bodies.ts";
import { cronInstants } from "../../runtime-agent/src/sentinel/schedule/cron.ts";
import {
  lateMs,
  stepSchedules,
  type Due,
  type Missed,
  type ScheduleMarks,
  type ScheduleRule,
} from "../../runtime-agent/src/sentinel/schedule/core.ts";

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const start = Date.UTC(2026, 9, 24, 12);

function rule(cron: string, ifMissed: ScheduleRule["ifMissed"] = "report", timeZone = "Europe/Paris"): ScheduleRule {
  return { name: "s", identity: `${cron} ${timeZone}`, instants: cronInstants(cron, timeZone), ifMissed };
}

/** Plays a schedule; `passes` are what each look adds to the clock. What is due is remembered before the next look. */
function play(one: ScheduleRule, passes: readonly number[], restart: (index: number) => boolean = () => false) {
  let marks: ScheduleMarks = {};
  let stored: ScheduleMarks = {};
  let wallMs = start;
  const due: Due[] = [];
  const missed: Missed[] = [];
  marks = stepSchedules([one], marks, wallMs).marks;
  stored = marks;
  passes.forEach((pass, index) => {
    wallMs += pass;
    const before = marks;
    const step = stepSchedules([one], before, wallMs);
    marks = step.marks;
    due.push(...step.due);
    missed.push(...step.missed);
    if (step.due.length + step.missed.length > 0) stored = marks;
    // A restart knows only what was worth keeping.
    if (restart(index)) marks = Object.fromEntries(Object.entries(stored).map(([k, { nextMs: _, ...m }]) => [k, m]));
  });
  return { due, missed, wallMs };
}

describe("Sentinel, schedules", () => {
  const passes = fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom(second, 20 * second, minute) },
      { weight: 2, arbitrary: fc.integer({ min: 2 * minute, max: 30 * hour }) },
      { weight: 1, arbitrary: fc.integer({ min: -30 * hour, max: -second }) },
    ),
    { maxLength: 120 },
  );
  const cron = fc.constantFrom("* * * * *", "*/7 * * * *", "30 2 * * *", "30 2,3 * * *", "15 * * * *", "0 0 1 * *");
  const restarts = fc.array(fc.boolean(), { minLength: 1, maxLength: 20 });

  it("property: no instant twice, whatever the clock does and however often it restarts", () => {
    fc.assert(
      fc.property(
        cron,
        passes,
        restarts,
        fc.constantFrom("report" as const, "run-once" as const),
        (text, all, again, ifMissed) => {
          const { due } = play(rule(text, ifMissed), all, (index) => again[index % again.length] === true);
          assert.equal(new Set(due.map(({ atMs }) => atMs)).size, due.length);
          assert.equal(new Set(due.map(({ key }) => key)).size, due.length);
          const { instants } = rule(text);
          for (const { atMs } of due) assert.equal(instants.next(atMs - 1), atMs);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("property: with a clock that only goes on, each instant ran or was said to be missed", () => {
    fc.assert(
      fc.property(cron, passes, restarts, (text, all, again) => {
        const forward = all.map(Math.abs);
        const one = rule(text);
        const { due, missed, wallMs } = play(one, forward, (index) => again[index % again.length] === true);
        if (missed.some(({ more }) => more)) return;
        let wanted = 0;
        for (let at = one.instants.next(start); at !== undefined && at <= wallMs; at = one.instants.next(at))
          wanted += 1;
        assert.equal(due.length + missed.reduce((sum, { count }) => sum + count, 0), wanted);
        for (const { late } of due) assert.equal(late, false);
      }),
      { numRuns: 40 },
    );
  });

  it("says what was missed, and runs once for it where that is asked for", () => {
    const report = play(rule("0 * * * *"), [5 * hour + 10 * minute]);
    assert.deepEqual(report.due, []);
    assert.deepEqual(
      report.missed.map(({ count }) => count),
      [5],
    );
    const once = play(rule("0 * * * *", "run-once"), [5 * hour + 10 * minute]);
    assert.deepEqual(
      once.due.map(({ atMs, late }) => [atMs, late]),
      [[start + 5 * hour, true]],
    );
    const inTime = play(rule("0 * * * *"), [hour + lateMs]);
    assert.deepEqual(
      inTime.due.map(({ late }) => late),
      [false],
    );
    const flood = play(rule("* * * * *"), [40 * 24 * hour]);
    assert.equal(flood.missed[0]?.more, true);
    assert.equal(flood.due.length, 1);
  });

  it("does not run again what it ran before the clock was set back, and then goes on", () => {
    const minutes = (count: number): number[] => Array.from({ length: count }, () => minute);
    const { due } = play(rule("* * * * *"), [...minutes(10), -5 * minute, ...minutes(10)]);
    const ran = due.map(({ atMs }) => (atMs - start) / minute);
    assert.deepEqual(ran, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
  });

  it("keeps to local time where clocks change", () => {
    const at = (text: string, from: number): (string | undefined)[] => {
      const { next } = cronInstants(text, "Europe/Paris");
      const first = next(from);
      const then = first === undefined ? undefined : next(first);
      return [first, then].map((ms) => (ms === undefined ? undefined : new Date(ms).toISOString().slice(0, 16)));
    };
    // The hour from 2 to 3 comes twice on 2026-10-25, and not at all on 2026-03-29.
    assert.deepEqual(at("30 2 * * *", Date.UTC(2026, 9, 24, 12)), ["2026-10-25T00:30", "2026-10-26T01:30"]);
    assert.deepEqual(at("30 * * * *", Date.UTC(2026, 9, 25, 0)), ["2026-10-25T00:30", "2026-10-25T01:30"]);
    assert.deepEqual(at("30 2 * * *", Date.UTC(2026, 2, 28, 12)), ["2026-03-29T01:00", "2026-03-30T00:30"]);
  });

  it("property: keys are of the form of all keys, and one schedule's instants share none with another's", () => {
    const name = fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/);
    const keysOf = (schedule: string, times: number): string[] => {
      const one = { ...rule("* * * * *"), name: schedule };
      const keys: string[] = [];
      for (let n = 0, marks: ScheduleMarks = {}; n <= times; n += 1) {
        const step = stepSchedules([one], marks, start + n * minute);
        marks = step.marks;
        keys.push(...step.due.map(({ key }) => key));
      }
      return keys;
    };
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 2, maxLength: 4 }), (names) => {
        const keys = names.flatMap((each) => keysOf(each, 3));
        assert.equal(new Set(keys).size, names.length * 3);
        for (const key of keys) assert.match(key, keyForm);
      }),
      { numRuns: 50 },
    );
  });

  it("property: an instant that an older release asked for has the same key again, whenever that is", () => {
    const known = { identity: rule("* * * * *").identity, ranMs: [] };
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 20 }), (passes) => {
        // As the older release kept it: without a word of keys.
        let marks: ScheduleMarks = { s: { ...known, upToMs: start } };
        let wallMs = start;
        for (const pass of passes) {
          wallMs += pass * second;
          const step = stepSchedules([rule("* * * * *")], marks, wallMs);
          marks = step.marks;
          for (const { atMs, key } of step.due)
            assert.equal(key, `schedule.s.${new Date(atMs).toISOString().replaceAll(":", "-")}`);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("begins anew with another expression, and does not stay behind a clock that was far ahead", () => {
    const other = stepSchedules([rule("0 * * * *")], { s: { identity: "x", upToMs: 0, ranMs: [] } }, start);
    assert.deepEqual([other.due, other.missed], [[], []]);
    const year = 365 * 24 * hour;
    const { due } = play(rule("0 * * * *"), [year, -year, hour, hour]);
    assert.deepEqual(
      due.map(({ atMs }) => atMs),
      [start + year, start + hour, start + 2 * hour],
    );
  });
});
