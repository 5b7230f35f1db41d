/**
 * Which schedules are due: no instant twice, across restarts and clocks that are set; and what was missed is said. Pure
 * and total; times are Unix ms.
 */
import type { Instants } from "./cron.ts";

export interface ScheduleRule {
  readonly name: string;
  /** Of the expression and the zone: another one begins anew, and missed nothing. */
  readonly identity: string;
  readonly instants: Instants;
  readonly ifMissed: "report" | "run-once";
}

/** What is remembered of one schedule. */
export interface ScheduleMark {
  readonly identity: string;
  /** Every instant up to here was dealt with. */
  readonly upToMs: number;
  /** The newest instants that it ran for, oldest first: should the clock be set back, they are not run for again. */
  readonly ranMs: readonly number[];
  /** The first instant after `upToMs`, once it was looked up. */
  readonly nextMs?: number | undefined;
  /**
   * The form of its runs' keys, see {@link scheduleKey}; without it the older one. It stays as long as the mark does: an
   * instant that was asked for and not marked yet is asked for again with the same key, by another release too.
   */
  readonly keys?: "colons" | undefined;
}

export type ScheduleMarks = Readonly<Record<string, ScheduleMark>>;

export interface Due {
  readonly name: string;
  readonly atMs: number;
  /** True for one that stands for all that were missed. */
  readonly late: boolean;
  /** Of its run: one for each instant, so that asking twice is one run. */
  readonly key: string;
}

export interface Missed {
  readonly name: string;
  readonly count: number;
  /** More than were counted. */
  readonly more: boolean;
  readonly firstMs: number;
  readonly lastMs: number;
}

export interface ScheduleOutcome {
  readonly marks: ScheduleMarks;
  readonly due: readonly Due[];
  readonly missed: readonly Missed[];
}

/** An instant that is later than this is missed. The Sentinel's loop turns once a second; a restart takes a few. */
export const lateMs = 90_000;
/** Missed instants that are counted one by one. */
export const mostCounted = 1000;
/** More than this behind its own mark, and the clock was set. Less is what NTP does: the mark waits. */
const setBackMs = 60_000;
/** Instants remembered of each schedule. */
const mostRan = 100;
/** What stands for "no instant to come". */
const never = Number.POSITIVE_INFINITY;

function instantsBetween(instants: Instants, afterMs: number, untilMs: number): { list: number[]; more: boolean } {
  const list: number[] = [];
  for (let at = instants.next(afterMs); at !== undefined && at <= untilMs; at = instants.next(at)) {
    if (list.length === mostCounted) return { list, more: true };
    list.push(at);
  }
  return { list, more: false };
}

/** Whether it ran for an instant. What is older than all that is remembered counts as such. */
function ran(mark: ScheduleMark, atMs: number): boolean {
  if (mark.ranMs.includes(atMs)) return true;
  const oldest = mark.ranMs[0];
  return mark.ranMs.length === mostRan && oldest !== undefined && atMs < oldest;
}

/**
 * The key of the run for an instant. Like every other key it has no dot: what is signed is `key.timestamp.body`, and where
 * the key ends must never be in doubt. The older form, `schedule.<name>.<time>`, had dots.
 */
function scheduleKey(name: string, atMs: number, form: ScheduleMark["keys"]): string {
  const time = new Date(atMs).toISOString();
  return form === "colons"
    ? `schedule:${name}:${time.replaceAll(/[:.]/g, "-")}`
    : `schedule.${name}.${time.replaceAll(":", "-")}`;
}

interface Step {
  readonly mark: ScheduleMark;
  readonly due?: Due;
  readonly missed?: Missed;
}

function stepOne(rule: ScheduleRule, before: ScheduleMark | undefined, wallMs: number): Step {
  const { name, identity, instants } = rule;
  const nextAfter = (atMs: number): number => instants.next(atMs) ?? never;
  // A schedule that nobody knew begins with what comes.
  if (before?.identity !== identity)
    return { mark: { identity, upToMs: wallMs, ranMs: [], nextMs: nextAfter(wallMs), keys: "colons" } };
  if (wallMs < before.upToMs - setBackMs) return { mark: { ...before, upToMs: wallMs, nextMs: nextAfter(wallMs) } };
  const nextMs = before.nextMs ?? nextAfter(before.upToMs);
  if (wallMs < nextMs) return { mark: { ...before, nextMs, upToMs: Math.max(before.upToMs, wallMs) } };

  const all = instantsBetween(instants, before.upToMs, wallMs);
  // Where there are too many to be counted the newest ones still matter.
  const recent = all.more ? instantsBetween(instants, wallMs - lateMs, wallMs).list : [];
  const open = [...new Set([...all.list, ...recent])].filter((at) => !ran(before, at));
  const newest = open.at(-1);
  const mark: ScheduleMark = { ...before, upToMs: wallMs, nextMs: nextAfter(wallMs) };
  if (newest === undefined) return { mark };
  const inTime = wallMs - newest <= lateMs;
  const passed = inTime ? open.slice(0, -1) : open;
  const [firstMs, lastMs] = [passed[0], passed.at(-1)];
  const missed =
    firstMs === undefined || lastMs === undefined
      ? {}
      : { missed: { name, count: passed.length, more: all.more, firstMs, lastMs } };
  if (!inTime && rule.ifMissed === "report") return { mark, ...missed };
  const ranMs = [...before.ranMs, newest].toSorted((a, b) => a - b).slice(-mostRan);
  const due = { name, atMs: newest, late: !inTime, key: scheduleKey(name, newest, before.keys) };
  return { mark: { ...mark, ranMs }, due, ...missed };
}

/** One look at the clock. Schedules that are configured no more are forgotten. */
export function stepSchedules(rules: readonly ScheduleRule[], before: ScheduleMarks, wallMs: number): ScheduleOutcome {
  const marks: Record<string, ScheduleMark> = {};
  const due: Due[] = [];
  const missed: Missed[] = [];
  for (const rule of rules) {
    const step = stepOne(rule, before[rule.name], wallMs);
    marks[rule.name] = step.mark;
    if (step.due !== undefined) due.push(step.due);
    if (step.missed !== undefined) missed.push(step.missed);
  }
  return { marks, due, missed };
}
