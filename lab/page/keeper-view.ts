// What the page shows of the Keeper, made from the status that its local API gives. Only named fields are taken over.
import { listOf, number, rowOf, text } from "./fields.ts";
import type { Row } from "./fields.ts";

/** The Keeper as the page draws it. */
export interface KeeperView {
  running: boolean;
  /** Why it does not run, or does not answer. */
  why: string;
  /** Its wall clock, Unix ms: the simulated one while an evening is played. */
  clockMs: number | undefined;
  timeZone: string;
  marketOpen: boolean;
  night: boolean;
  loadAverage: number | undefined;
  /** Whether the host side's word is in force. */
  hostHeard: boolean;
  holder: { service: string; rank: number; token: number } | undefined;
  queue: { service: string; rank: number; waitingMs: number }[];
  services: KeeperServiceView[];
  gpu: KeeperGpuView;
  /** The latest first. */
  decisions: { atMs: number | undefined; what: string; service: string; reason: string }[];
  evening: { at: string; text: string; state: "done" | "now" | "next" }[];
}

export interface KeeperServiceView {
  name: string;
  rank: number;
  kind: string;
  /** For people: `holds the GPU`, `frozen`, `idle` … */
  state: string;
  /** Whether it stands still by the Keeper's word. */
  lowered: boolean;
  why: string;
  vramMiB: number;
}

export interface KeeperGpuView {
  kind: string;
  reason: string;
  name: string;
  temperatureC: number | undefined;
  powerWatts: number | undefined;
  powerLimitWatts: number | undefined;
  /** `eco`, `full`, `capped` … */
  power: string;
  vramUsedMiB: number;
  vramTotalMiB: number;
  utilizationPercent: number | undefined;
}

export interface KeeperAnswers {
  /** Why there is no status; undefined when there is one. */
  why: string | undefined;
  status: unknown;
  timeZone: string;
  /** `{steps: [{at, text, state}]}` of the evening that is played, if one is. */
  evening: unknown;
}

const mostDecisions = 60;
const mostEntries = 100;

/** Pure and total: unknown shapes give empty fields. */
export function keeperView({ why, status, timeZone, evening }: KeeperAnswers): KeeperView {
  const row = rowOf(status);
  const holder = rowOf(row["holder"]);
  return {
    running: why === undefined,
    why: why ?? "",
    clockMs: instant(row["now"]),
    timeZone,
    marketOpen: row["marketOpen"] === true,
    night: row["museNight"] === true,
    loadAverage: known(row["load1"]),
    hostHeard: rowOf(row["constraint"])["marketOpen"] !== undefined,
    holder:
      text(holder["service"]) === ""
        ? undefined
        : { service: text(holder["service"]), rank: number(holder["rank"]), token: number(holder["token"]) },
    queue: rows(row["queue"]).map((each) => ({
      service: text(each["service"]),
      rank: number(each["rank"]),
      waitingMs: number(each["waitingMs"]),
    })),
    services: rows(row["services"]).map(serviceView),
    gpu: gpuView(rowOf(row["gpu"]), text(row["power"])),
    decisions: listOf(row["decisions"])
      .slice(-mostDecisions)
      .reverse()
      .map(rowOf)
      .map((each) => ({
        atMs: instant(each["time"]),
        what: text(each["what"]),
        service: text(each["service"]),
        reason: text(each["reason"]),
      })),
    evening: rows(rowOf(evening)["steps"]).map((each) => ({
      at: text(each["at"]),
      text: text(each["text"]),
      state: each["state"] === "done" || each["state"] === "now" ? each["state"] : "next",
    })),
  };
}

function serviceView(row: Row): KeeperServiceView {
  const [phase, kernel] = [text(row["phase"]), text(row["kernel"])];
  const lowered = phase === "lowered" || phase === "lowering";
  const rungs = listOf(row["lowered"]).map(text);
  const how = [rungs.includes("checkpoint") ? "VRAM in RAM" : "", rungs.includes("application") ? "unloaded" : ""];
  const held = rungs.includes("freeze") || rungs.includes("stop") || kernel === "frozen" || kernel === "stopped";
  const still = held ? "frozen" : phase;
  const states: Readonly<Record<string, string>> = { running: "holds the GPU", lowered: still };
  return {
    name: text(row["name"]),
    rank: number(row["rank"]),
    kind: text(row["kind"]),
    state: [states[phase] ?? phase, ...how].filter((part) => part !== "").join(", "),
    lowered,
    why: text(row["why"]),
    vramMiB: number(row["vramMiB"]),
  };
}

function gpuView(row: Row, power: string): KeeperGpuView {
  return {
    kind: text(row["kind"]) || "unknown",
    reason: text(row["reason"]),
    name: text(row["name"]),
    temperatureC: known(row["temperatureC"]),
    powerWatts: known(row["powerWatts"]),
    powerLimitWatts: known(row["powerLimitWatts"]),
    power,
    vramUsedMiB: number(row["vramUsedMiB"]),
    vramTotalMiB: number(row["vramTotalMiB"]),
    utilizationPercent: known(row["utilizationPercent"]),
  };
}

function rows(value: unknown): Row[] {
  return listOf(value).slice(0, mostEntries).map(rowOf);
}

function known(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

function instant(value: unknown): number | undefined {
  const ms = Date.parse(text(value));
  return Number.isNaN(ms) ? undefined : ms;
}
