/**
 * The watchdogs at work: looks run beside the loop, few at a time; their findings are judged in the next turn. Agents and
 * the reaper's providers are judged in the same way, by what others found.
 */
import type { WatchdogConfig } from "../../../../components/shared/agent/sentinelWatchConfig.ts";
import type { AgentView, ExtensionView } from "../extension.ts";
import {
  judge,
  remind,
  unjudged,
  type Change,
  type Finding,
  type Hysteresis,
  type Judgement,
} from "./core/watchdog.ts";
import { wordsOf } from "./exchange.ts";
import type { KeptDown } from "./kept.ts";
import { durationWords, instantWords, type PartAlert } from "./part.ts";

/** One look of a watchdog of the configuration that looks by itself; ends within its deadline. */
export type Looker = (config: Exclude<WatchdogConfig, { type: "heartbeat" }>) => Promise<Finding>;

/** A finding that somebody else made. */
export interface ForeignFinding {
  readonly subject: string;
  readonly finding: Finding;
  readonly rule: Hysteresis;
}

export interface WatchdogView {
  readonly name: string;
  readonly type: WatchdogConfig["type"];
  readonly standing: Judgement["standing"];
  readonly since: string;
  readonly detail: string;
}

export interface Watchdogs {
  restore(down: Readonly<Record<string, KeptDown>>): void;
  /** Other watchdogs from now on: those that are gone are forgotten, and those that changed are looked at at once. */
  configure(configs: readonly WatchdogConfig[], look: Looker): void;
  turn(view: ExtensionView, foreign: readonly ForeignFinding[]): readonly PartAlert[];
  /** Somebody called; false when there is no heartbeat of this name. */
  beat(name: string): boolean;
  /** The same object as before while nothing of it has changed. */
  kept(): Readonly<Record<string, KeptDown>>;
  views(): readonly WatchdogView[];
  settled(): Promise<void>;
}

/** Looks under way at once: each holds a socket or a process. */
const mostLooks = 16;
/** After the Sentinel's own start an agent may be unheard for so long before it counts as gone, ms. */
const agentGraceMs = 180_000;
const once: Hysteresis = { failures: 1, successes: 1 };

function findingOf({ alive, heard }: AgentView): Finding {
  if (!alive) return { ok: false, detail: "not heard within its lease" };
  if (heard?.heartbeat?.crashLoop === true) return { ok: false, detail: "it crashes at each start" };
  return { ok: true, detail: "heard" };
}

export function createWatchdogs(options: {
  readonly configs: readonly WatchdogConfig[];
  readonly look: Looker;
  readonly reminderMs: number;
}): Watchdogs {
  const { reminderMs } = options;
  let { configs, look } = options;
  const judged = new Map<string, Judgement>();
  const subjectOf = (name: string): string => `watchdog ${name}`;
  const tellsOf = (): Map<string, WatchdogConfig["tell"]> =>
    new Map(configs.map(({ name, tell }) => [subjectOf(name), tell]));
  let tells = tellsOf();
  const nextMs = new Map<string, number>();
  const running = new Map<string, Promise<void>>();
  const beats = new Map<string, number>();
  /** Heartbeats that came with another configuration are awaited from then on. */
  const sinceMs = new Map<string, number>();
  let newcomers: string[] = [];
  let pendingBeats = new Set<string>();
  /** Between two turns, of watchdogs alone. */
  let found: ForeignFinding[] = [];
  let startedMs: number | undefined;
  let down: Readonly<Record<string, KeptDown>> = {};

  function begin(config: Exclude<WatchdogConfig, { type: "heartbeat" }>): void {
    const work = look(config)
      .catch((error: unknown): Finding => ({ ok: false, detail: wordsOf(error) }))
      .then((finding) => {
        running.delete(config.name);
        // Of one that was changed or taken away meanwhile nobody asks any more.
        if (!configs.some((now) => now === config)) return;
        found.push({ subject: subjectOf(config.name), finding, rule: config });
      });
    running.set(config.name, work);
  }

  /** What a heartbeat is judged by; undefined before the first one and within the first period. */
  function heartbeat(name: string, periodMs: number, nowMs: number): Finding | undefined {
    const lastMs = beats.get(name);
    const silentMs = nowMs - (lastMs ?? sinceMs.get(name) ?? startedMs ?? nowMs);
    if (silentMs > periodMs) return { ok: false, detail: `nobody called for ${durationWords(silentMs)}` };
    return lastMs === undefined ? undefined : { ok: true, detail: "called" };
  }

  function lookAround(nowMs: number): void {
    for (const config of configs) {
      if (config.type === "heartbeat") {
        const finding = heartbeat(config.name, config.periodSec * 1000, nowMs);
        if (finding !== undefined) found.push({ subject: subjectOf(config.name), finding, rule: once });
        continue;
      }
      const isDue = nowMs >= (nextMs.get(config.name) ?? Number.NEGATIVE_INFINITY);
      if (!isDue || running.size >= mostLooks || running.has(config.name)) continue;
      nextMs.set(config.name, nowMs + config.everySec * 1000);
      begin(config);
    }
  }

  function lookAtAgents({ agents, monotonicMs }: ExtensionView, begunMs: number): void {
    const named = new Set<string>();
    for (const agent of agents) {
      const subject = `agent ${agent.name}`;
      if (agent.registered === undefined || agent.handedOver !== undefined) continue;
      named.add(subject);
      if (!agent.alive && monotonicMs - begunMs < agentGraceMs) continue;
      found.push({ subject, finding: findingOf(agent), rule: once });
    }
    // Who was taken down on purpose is no problem, and not solved either.
    for (const subject of judged.keys()) if (subject.startsWith("agent ") && !named.has(subject)) forget(subject);
  }

  function forget(subject: string): void {
    judged.delete(subject);
    if (down[subject] === undefined) return;
    const { [subject]: _gone, ...rest } = down;
    down = rest;
  }

  function forgetBeats(name: string): void {
    beats.delete(name);
    pendingBeats.delete(name);
  }

  function forgetUnknown(): void {
    for (const subject of [...judged.keys()])
      if (subject.startsWith("watchdog ") && !tells.has(subject)) forget(subject);
  }

  function settle(subject: string, judgement: Judgement): void {
    judged.set(subject, judgement);
    const { standing, sinceMs, toldMs, detail } = judgement;
    const before = down[subject];
    if (standing === "down" && (before?.sinceMs !== sinceMs || before.toldMs !== toldMs))
      down = { ...down, [subject]: { sinceMs, toldMs, detail } };
    else if (standing !== "down" && before !== undefined) {
      const { [subject]: _solved, ...rest } = down;
      down = rest;
    }
  }

  function alertOf(subject: string, change: Change, before: Judgement, now: Judgement, wallMs: number): PartAlert {
    const since = durationWords(wallMs - before.sinceMs);
    const text = {
      down: `down: ${now.detail}`,
      up: `up again after ${since}: ${now.detail}`,
      reminder: `still down since ${instantWords(now.sinceMs)}: ${now.detail}`,
    }[change];
    const kind = change === "up" ? "solved" : "problem";
    return { alert: { atMs: wallMs, subject, kind, text }, tell: tells.get(subject) };
  }

  return {
    configure(next, nextLook) {
      const before = new Map(configs.map((config) => [config.name, config]));
      const texts = new Map(configs.map((config) => [config.name, JSON.stringify(config)]));
      // What did not change is the same one, whose look may be under way.
      configs = next.map((config) => {
        const same = texts.get(config.name) === JSON.stringify(config) ? before.get(config.name) : undefined;
        if (same === undefined) nextMs.delete(config.name);
        if (before.get(config.name)?.type !== config.type) newcomers.push(config.name);
        return same ?? config;
      });
      look = nextLook;
      tells = tellsOf();
      const stays = new Set(
        configs.filter((config) => before.get(config.name) === config).map(({ name }) => subjectOf(name)),
      );
      found = found.filter(({ subject }) => stays.has(subject));
      const heartbeats = new Set(configs.flatMap(({ name, type }) => (type === "heartbeat" ? [name] : [])));
      for (const name of before.keys()) if (!heartbeats.has(name)) forgetBeats(name);
      forgetUnknown();
    },
    restore(kept) {
      down = kept;
      for (const [subject, { sinceMs, toldMs, detail }] of Object.entries(kept))
        judged.set(subject, { standing: "down", sinceMs, toldMs, detail, streak: { ok: false, count: 0 } });
      forgetUnknown();
    },
    turn(view, foreign) {
      const { monotonicMs, wallMs } = view;
      startedMs ??= monotonicMs;
      for (const name of newcomers) sinceMs.set(name, monotonicMs);
      newcomers = [];
      for (const name of pendingBeats) beats.set(name, monotonicMs);
      pendingBeats = new Set();
      lookAround(monotonicMs);
      lookAtAgents(view, startedMs);
      const findings = [...found, ...foreign];
      found = [];
      const alerts: PartAlert[] = [];
      for (const { subject, finding, rule } of findings) {
        const before = judged.get(subject) ?? unjudged(wallMs);
        const { judgement, change } = judge(before, finding, rule, wallMs);
        settle(subject, judgement);
        if (change !== undefined) alerts.push(alertOf(subject, change, before, judgement, wallMs));
      }
      for (const [subject, before] of judged) {
        const { judgement, change } = remind(before, reminderMs, wallMs);
        if (judgement !== before) settle(subject, judgement);
        if (change !== undefined) alerts.push(alertOf(subject, change, before, judgement, wallMs));
      }
      return alerts;
    },
    beat(name) {
      if (!configs.some((config) => config.type === "heartbeat" && config.name === name)) return false;
      pendingBeats.add(name);
      return true;
    },
    kept: () => down,
    views: () =>
      configs.map(({ name, type }) => {
        const now = judged.get(subjectOf(name)) ?? unjudged(0);
        const since = now.standing === "unknown" ? "" : new Date(now.sinceMs).toISOString();
        return { name, type, standing: now.standing, since, detail: now.detail };
      }),
    async settled() {
      await Promise.all(running.values());
    },
  };
}
