// systemctl(1) in a guest: enablement on unit files, all else asked of the guest's supervisor, which really runs units.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { ToolError } from "./errors.ts";
import { ask } from "./init-client.ts";
import type { Request } from "./init/protocol.ts";
import { readAll } from "./init/journal.ts";
import {
  allUnits,
  disable,
  dropIns,
  enable,
  enablement,
  find,
  fullName,
  mask,
  matching,
  missing,
} from "./unit-files.ts";

type Properties = Readonly<Record<string, string>>;

const flag = { type: "boolean" } as const;
const text = { type: "string" } as const;
const options = {
  now: flag,
  quiet: { ...flag, short: "q" },
  "no-block": flag,
  property: { ...text, short: "p", multiple: true },
  value: flag,
  signal: { ...text, short: "s" },
  "kill-whom": text,
  "kill-who": text,
  all: { ...flag, short: "a" },
  lines: { ...text, short: "n" },
  type: { ...text, short: "t" },
  state: text,
  version: flag,
  // Taken, and without a meaning here.
  wait: flag,
  "no-reload": flag,
  "no-pager": flag,
  "no-legend": flag,
  full: { ...flag, short: "l" },
  plain: flag,
  force: { ...flag, short: "f" },
  system: flag,
  runtime: flag,
  "no-ask-password": flag,
} as const;

type Flags = ReturnType<typeof parse>["values"];

function parse(args: string[]) {
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new ToolError(`systemctl: ${error instanceof Error ? error.message : String(error)}`, 1);
  }
}

export async function guestSystemctl(args: string[]): Promise<void> {
  const { values: flags, positionals } = parse(args);
  if (flags.version === true) return say("systemd 252 (252.0-lab)\n");
  const [command = "list-units", ...names] = positionals;
  const units = names.map(fullName);
  const quiet = flags.quiet === true;
  switch (command) {
    case "daemon-reload":
    case "daemon-reexec":
      return order({ op: "daemon-reload" });
    case "reset-failed":
      return order({ op: "reset-failed", units: await expanded(units), wait: true });
    case "enable":
    case "reenable":
      for (const unit of units) enable(unit, quiet);
      return flags.now === true ? order(job("start", units, flags)) : undefined;
    case "disable":
      for (const unit of units) disable(unit, quiet);
      return flags.now === true ? order(job("stop", units, flags)) : undefined;
    case "mask":
    case "unmask":
      for (const unit of units) mask(unit, command === "mask");
      return;
    case "start":
    case "try-restart":
      return order(job(command, units, flags));
    case "stop":
    case "restart":
    case "reload":
      return order(job(command, await expanded(units), flags));
    case "reload-or-restart":
      return order(job("restart", units, flags));
    case "kill": {
      const whom = (flags["kill-whom"] ?? flags["kill-who"]) === "main" ? "main" : "all";
      return order({ op: "kill", units: await expanded(units), signal: flags.signal ?? "SIGTERM", whom });
    }
    case "is-active":
    case "is-failed": {
      const states = (await shown(units)).map((properties) => properties["ActiveState"] ?? "inactive");
      const wanted = command === "is-active" ? "active" : "failed";
      return verdict(states, wanted, command === "is-active" ? 3 : 1, quiet);
    }
    case "is-enabled":
      return verdict(units.map(enablement), "enabled", 1, quiet);
    case "is-system-running":
      return say("running\n");
    case "show":
      return say((await shown(units)).map((properties) => selected(properties, flags)).join("\n"));
    case "status":
      return status(await shown(await expanded(units)), Number(flags.lines ?? 10));
    case "cat":
      return say(units.map(cat).join("\n"));
    case "list-unit-files":
      return say(
        allUnits()
          .map((unit) => `${unit} ${enablement(unit)}\n`)
          .join(""),
      );
    case "list-units":
    case "list-timers":
      return list(command === "list-timers" ? ["*.timer"] : names, flags);
    default:
      throw new ToolError(`Unknown command verb '${command}', did you mean 'status'?`, 1);
  }
}

function job(op: "start" | "stop" | "restart" | "try-restart" | "reload", units: string[], flags: Flags): Request {
  if (units.length === 0) throw new ToolError("Too few arguments.", 1);
  return { op, units, wait: flags["no-block"] !== true };
}

async function order(request: Request): Promise<void> {
  const { failures } = await ask(request);
  for (const { message } of failures) process.stderr.write(`${message}\n`);
  process.exitCode = failures.at(-1)?.status ?? 0;
}

async function shown(units: readonly string[]): Promise<readonly Properties[]> {
  return units.length === 0 ? [] : (await ask({ op: "show", units })).units;
}

/** Patterns stand for the units that are known to the supervisor. */
async function expanded(units: readonly string[]): Promise<string[]> {
  if (!units.some((unit) => /[*?]/.test(unit))) return [...units];
  const known = (await ask({ op: "list" })).units.map((properties) => properties["Id"] ?? "");
  return units.flatMap((unit) => (/[*?]/.test(unit) ? known.filter(matching(unit)) : [unit]));
}

function verdict(words: readonly string[], good: string, bad: number, quiet: boolean): void {
  if (!quiet) say(words.map((word) => `${word}\n`).join(""));
  process.exitCode = words.includes(good) ? 0 : bad;
}

function selected(properties: Properties, flags: Flags): string {
  const asked = (flags.property ?? []).flatMap((names) => names.split(","));
  const keys = asked.length === 0 ? Object.keys(properties) : asked.filter((key) => key in properties);
  const line = (key: string): string => (flags.value === true ? "" : `${key}=`) + (properties[key] ?? "");
  return keys.map((key) => `${line(key)}\n`).join("");
}

function status(units: readonly Properties[], lines: number): void {
  const texts = units.map((unit) => {
    const { Id = "", LoadState, ActiveState = "", SubState = "", Result, FragmentPath = "" } = unit;
    if (LoadState === "not-found") missing(Id);
    if (ActiveState !== "active") process.exitCode = 3;
    const since = unit["StateChangeTimestamp"] ?? "";
    const entries = readAll().filter((entry) => entry.unit === Id);
    return [
      `${ActiveState === "active" ? "●" : ActiveState === "failed" ? "×" : "○"} ${Id} - ${unit["Description"] ?? Id}`,
      `     Loaded: loaded (${FragmentPath}; ${unit["UnitFileState"] ?? ""})`,
      `     Active: ${ActiveState} (${ActiveState === "failed" ? `Result: ${Result ?? ""}` : SubState})${since === "" ? "" : ` since ${since}`}`,
      ...(unit["MainPID"] === undefined || unit["MainPID"] === "0" ? [] : [`   Main PID: ${unit["MainPID"]}`]),
      "",
      ...(lines > 0 ? entries.slice(-lines).map((entry) => `${entry.who}[${String(entry.pid)}]: ${entry.text}`) : []),
    ].join("\n");
  });
  say(`${texts.join("\n\n")}\n`);
}

function cat(unit: string): string {
  const file = find(unit) ?? missing(unit);
  return [file, ...dropIns(unit)].map((path) => `# ${path}\n${readFileSync(path, "utf8")}`).join("\n");
}

async function list(patterns: readonly string[], flags: Flags): Promise<void> {
  const wanted = patterns.map((pattern) => matching(/[*?]/.test(pattern) ? pattern : fullName(pattern)));
  const { units } = await ask({ op: "list" });
  const rows = units.filter(({ Id = "", ActiveState }) => {
    const byName = wanted.length === 0 || wanted.some((matches) => matches(Id));
    const byType = flags.type === undefined || Id.endsWith(`.${flags.type}`);
    const byState = flags.state === undefined || flags.state.split(",").includes(ActiveState ?? "");
    return (
      byName && byType && byState && (flags.all === true || flags.state !== undefined || ActiveState !== "inactive")
    );
  });
  say(
    rows
      .map((unit) =>
        ["Id", "LoadState", "ActiveState", "SubState", "Description"].map((key) => unit[key] ?? "").join(" "),
      )
      .map((row) => `${row}\n`)
      .join(""),
  );
}

function say(text: string): void {
  process.stdout.write(text);
}
