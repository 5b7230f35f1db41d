import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { ArbiterConfig, ArbiterOverrides } from "../../runtime-agent/src/keeper/arbiter/core/config.ts";
import { arbiterConfig } from "../../runtime-agent/src/keeper/arbiter/core/config.ts";
import { dayMs, dayOfDate, localTime } from "../../runtime-agent/src/keeper/arbiter/core/localTime.ts";
import type { Service } from "../../runtime-agent/src/keeper/arbiter/core/types.ts";

/** Something that happens at an instant: a verb and its words, as `test/scenarios/keeper/README.md` lists them. */
export interface ScenarioEvent {
  readonly atMs: number;
  readonly words: readonly string[];
}

/** A line that the journal must have: local time to the second or millisecond, kind, service, part of the reason. */
export interface ExpectedLine {
  readonly text: string;
  readonly atMs: number;
  readonly toTheMs: boolean;
  readonly what: string;
  readonly service: string | undefined;
  readonly reason: string | undefined;
}

/** One scenario file, read and checked. Times are Unix milliseconds. */
export interface Scenario {
  readonly file: string;
  readonly proves: string;
  readonly config: ArbiterConfig;
  readonly startMs: number;
  readonly endMs: number;
  readonly tickMs: number;
  readonly load1: number;
  readonly temperatureC: number;
  readonly vramTotalMiB: number;
  readonly events: readonly ScenarioEvent[];
  readonly expected: readonly ExpectedLine[];
  /** Kinds of lines that must be exactly the expected ones; the others are not compared. */
  readonly compared: ReadonlySet<string>;
}

const usual: readonly Service[] = [
  service("eva", 2, "interactive", 16384, ["application", "checkpoint", "freeze", "term"], { leaseMs: 30_000 }),
  service("sentinel", 3, "scan", 2048, ["freeze", "term"], { leaseMs: 300_000 }),
  service("muse", 4, "batch", 6144, ["checkpoint", "freeze", "term"], { forbiddenInMarket: true }),
];

function service(
  name: string,
  rank: Service["rank"],
  kind: Service["kind"],
  vramMiB: number,
  rungs: Service["rungs"],
  more: Partial<Service>,
): Service {
  return { name, rank, kind, vramMiB, rungs, forbiddenInMarket: false, leaseMs: 60_000, ...more };
}

/** Kinds of lines that every scenario compares. */
const always = ["grant", "refuse", "revoke", "start", "lower", "raise", "end", "stays"];

/** All scenario files of the folder, by name. */
export function scenarioFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".yaml"))
    .sort();
}

/** Reads one scenario file. Throws with the file's name when it is not understood. */
export function readScenario(folder: string, file: string): Scenario {
  const raw = record(parse(readFileSync(join(folder, file), "utf8")), file);
  const known = new Set([
    "proves",
    "start",
    "end",
    "tickSec",
    "load",
    "heat",
    "vram",
    "config",
    "services",
    "events",
    "expect",
    "compare",
  ]);
  for (const key of Object.keys(raw)) if (!known.has(key)) throw new Error(`${file}: unknown key ${key}`);
  const config = configOf(raw, file);
  const clock = clockOf(config.calendar.timeZone, file);
  const startMs = clock(text(raw["start"], file), undefined);
  let last = startMs;
  const at = (words: string): number => (last = clock(words, last));
  const events = strings(raw["events"], file).map((line) => {
    const { time, rest } = split(line, file);
    const atMs = at(time);
    return { atMs, words: rest.split(" ") };
  });
  const endMs = clock(text(raw["end"], file), last);
  last = startMs;
  const expected = strings(raw["expect"], file).map((line): ExpectedLine => {
    const { time, rest } = split(line, file);
    const match = /^([^\s:]+)(?: ([^\s:]+))?(?:: (.*))?$/.exec(rest);
    if (match?.[1] === undefined) throw new Error(`${file}: not understood: ${line}`);
    const [, what, name, reason] = match;
    return { text: line, atMs: at(time), toTheMs: time.includes("."), what, service: name, reason };
  });
  const mentioned = [...expected.map((line) => line.what), ...strings(raw["compare"] ?? [], file)];
  return {
    file,
    proves: text(raw["proves"], file),
    config,
    startMs,
    endMs,
    tickMs: Number(raw["tickSec"] ?? 1) * 1000,
    load1: Number(raw["load"] ?? 0.1),
    temperatureC: Number(raw["heat"] ?? 50),
    vramTotalMiB: Number(raw["vram"] ?? 24576),
    events: events.toSorted((a, b) => a.atMs - b.atMs),
    expected,
    compared: new Set([...always, ...mentioned]),
  };
}

/** The scenario's own section over the usual three services; the sections are those of `ArbiterConfig`. */
function configOf(raw: Record<string, unknown>, file: string): ArbiterConfig {
  const given = record(raw["config"] ?? {}, file);
  const changes = record(raw["services"] ?? {}, file);
  const services = usual
    .filter(({ name }) => changes[name] !== null)
    .map((each) => ({ ...each, ...record(changes[each.name] ?? {}, file) }));
  const more = Object.entries(changes)
    .filter(([name, value]) => value !== null && !usual.some((each) => each.name === name))
    .map(([name, value]) => ({ ...service(name, 4, "batch", 1024, ["freeze", "term"], {}), ...record(value, file) }));
  // YAML writes "no market" as null.
  const calendar = record(given["calendar"] ?? {}, file);
  if (calendar["market"] === null) calendar["market"] = undefined;
  const overrides: ArbiterOverrides = { ...given, calendar, services: [...services, ...more] };
  return arbiterConfig(overrides);
}

/**
 * Times of a scenario: `2026-03-29 01:59:59`, `01:59:59` (the next such time not before the line above), with
 * milliseconds if wanted, with an offset where a clock set back shows a time twice (`02:30:00+01:00`), `+1h30m` after
 * the line above.
 */
function clockOf(timeZone: string, file: string): (words: string, last: number | undefined) => number {
  const zone = localTime(timeZone);
  return (words, last) => {
    const span = /^\+(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(words);
    if (span !== null && last !== undefined) {
      const [h, m, s, ms] = span.slice(1).map((each) => Number(each ?? 0));
      return last + (((h ?? 0) * 60 + (m ?? 0)) * 60 + (s ?? 0)) * 1000 + (ms ?? 0);
    }
    const match = /^(?:(\d{4}-\d\d-\d\d) )?(\d\d):(\d\d):(\d\d)(?:\.(\d{3}))?([+-]\d\d:\d\d)?$/.exec(words);
    const day = match?.[1] === undefined ? zone.dayAt(last ?? 0) : dayOfDate(match[1]);
    if (match === null || day === undefined) throw new Error(`${file}: no time: ${words}`);
    const minute = Number(match[2]) * 60 + Number(match[3]);
    const within = Number(match[4]) * 1000 + Number(match[5] ?? 0);
    const on = (which: number): number => {
      if (match[6] === undefined) return zone.instants(which, minute).first + within;
      const [hours, minutes] = match[6].slice(1).split(":").map(Number);
      const offset = ((hours ?? 0) * 60 + (minutes ?? 0)) * (match[6].startsWith("-") ? -60_000 : 60_000);
      return which * dayMs + minute * 60_000 + within - offset;
    };
    const found = on(day);
    return match[1] === undefined && last !== undefined && found < last - 999 ? on(day + 1) : found;
  };
}

function split(line: string, file: string): { readonly time: string; readonly rest: string } {
  const match = /^((?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d\S*|\+\S+) (.+)$/.exec(line);
  if (match?.[1] === undefined || match[2] === undefined) throw new Error(`${file}: no time and words: ${line}`);
  return { time: match[1], rest: match[2] };
}

function record(value: unknown, file: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error(`${file}: a map was expected`);
  return Object.fromEntries(Object.entries(value));
}

function strings(value: unknown, file: string): string[] {
  if (!Array.isArray(value)) throw new Error(`${file}: a list was expected`);
  return value.map((each) => text(each, file));
}

function text(value: unknown, file: string): string {
  if (typeof value !== "string") throw new Error(`${file}: text was expected, not ${JSON.stringify(value)}`);
  return value;
}
