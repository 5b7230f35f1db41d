/**
 * Schedules at work: what is due becomes a signal whose key is its instant. It counts as sent once the Sentinel has it in
 * its journal; until then it is asked for again, and after a restart too: the same key is the same run.
 */
import type { ScheduleConfig } from "../../../../components/shared/agent/sentinelWatchConfig.ts";
import type { ExtensionAction, ExtensionView } from "../extension.ts";
import { instantWords, type PartAlert } from "../watch/part.ts";
import { lateMs, stepSchedules, type Due, type Missed, type ScheduleMarks, type ScheduleRule } from "./core.ts";
import { cronInstants } from "./cron.ts";

type SignalAction = Extract<ExtensionAction, { kind: "signal" }>;

interface Pending {
  readonly due: Due;
  readonly action: SignalAction;
  readonly sinceMs: number;
  asking: boolean;
}

export interface ScheduleView {
  readonly name: string;
  readonly agent: string;
  readonly cron: string;
  readonly timeZone: string;
  readonly next: string | null;
}

export interface Scheduler {
  restore(marks: ScheduleMarks): void;
  /** Other schedules from now on: one with another time begins with what comes, as after a restart. */
  configure(configs: readonly ScheduleConfig[]): void;
  turn(view: ExtensionView): { readonly actions: readonly ExtensionAction[]; readonly alerts: readonly PartAlert[] };
  settled(action: SignalAction, status: number): void;
  /** The same object as before while nothing of it has changed. */
  kept(): ScheduleMarks;
  views(wallMs: number): readonly ScheduleView[];
  count(): number;
}

function missedWords({ count, more, firstMs, lastMs }: Missed): string {
  if (count === 1) return `missed ${instantWords(firstMs)}`;
  const times = more ? `more than ${String(count)}` : String(count);
  return `missed ${times} times from ${instantWords(firstMs)} to ${instantWords(lastMs)}`;
}

function rulesOf(configs: readonly ScheduleConfig[]): readonly ScheduleRule[] {
  return configs.map(({ name, cron, timeZone, ifMissed }) => ({
    name,
    identity: `${cron} ${timeZone}`,
    instants: cronInstants(cron, timeZone),
    ifMissed,
  }));
}

export function createScheduler(configs: readonly ScheduleConfig[]): Scheduler {
  let rules = rulesOf(configs);
  let byName = new Map(configs.map((config) => [config.name, config]));
  const pending = new Map<string, Pending>();
  let marks: ScheduleMarks = {};
  let kept: ScheduleMarks = {};
  let refused: { readonly due: Due; readonly why: string }[] = [];

  const notice = (name: string, text: string, wallMs: number): PartAlert => ({
    alert: { atMs: wallMs, subject: `schedule ${name}`, kind: "notice", text },
  });

  /** Takes over what has really changed, of schedules that wait for no signal: the rest is only the time that passes. */
  function keepMarks(changed: ReadonlySet<string>): void {
    const waits = new Set([...pending.values()].map(({ due }) => due.name));
    const next: Record<string, ScheduleMarks[string]> = {};
    let differs = Object.keys(kept).length !== Object.keys(marks).length;
    for (const [name, { nextMs: _, ...mark }] of Object.entries(marks)) {
      const before = kept[name];
      const same = before !== undefined && !changed.has(name) && before.ranMs === mark.ranMs;
      if (before !== undefined && (same || waits.has(name))) next[name] = before;
      else {
        next[name] = mark;
        differs = true;
      }
    }
    if (differs) kept = next;
  }

  function ask(due: Due, wallMs: number): void {
    const config = byName.get(due.name);
    if (config === undefined) return;
    const { key } = due;
    const action: SignalAction = { kind: "signal", agent: config.agent, key, payload: config.payload };
    pending.set(key, { due, action, sinceMs: wallMs, asking: false });
  }

  return {
    restore(read) {
      marks = read;
      kept = read;
    },
    configure(next) {
      rules = rulesOf(next);
      byName = new Map(next.map((config) => [config.name, config]));
    },
    turn({ wallMs }) {
      const changed = new Set<string>();
      const before = marks;
      const step = stepSchedules(rules, before, wallMs);
      marks = step.marks;
      for (const [name, mark] of Object.entries(marks)) {
        const old = before[name];
        if (old?.identity !== mark.identity || mark.upToMs < old.upToMs || mark.ranMs !== old.ranMs) changed.add(name);
      }
      for (const due of step.due) ask(due, wallMs);
      const alerts = step.missed.map((missed) => notice(missed.name, missedWords(missed), wallMs));
      for (const { name } of step.missed) changed.add(name);
      for (const [key, { due, sinceMs, asking }] of pending) {
        if (asking || Math.abs(wallMs - sinceMs) <= lateMs) continue;
        pending.delete(key);
        refused.push({ due, why: "the Sentinel could not take it in time" });
      }
      for (const { due, why } of refused) {
        alerts.push(notice(due.name, `no run for ${instantWords(due.atMs)}: ${why}`, wallMs));
        changed.add(due.name);
      }
      refused = [];
      const actions: ExtensionAction[] = [];
      for (const one of pending.values()) {
        if (one.asking) continue;
        one.asking = true;
        actions.push(one.action);
      }
      keepMarks(changed);
      return { actions, alerts };
    },
    settled({ key }, status) {
      const one = pending.get(key);
      if (one === undefined) return;
      one.asking = false;
      if (status >= 500) return;
      pending.delete(key);
      if (status >= 300) refused.push({ due: one.due, why: `agent ${one.action.agent} does not take it` });
    },
    kept: () => kept,
    count: () => rules.length,
    views: (wallMs) =>
      rules.map(({ name, instants }) => {
        const next = instants.next(wallMs);
        const { agent = "", cron = "", timeZone = "" } = byName.get(name) ?? {};
        return { name, agent, cron, timeZone, next: next === undefined ? null : new Date(next).toISOString() };
      }),
  };
}
