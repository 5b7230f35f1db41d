// systemctl(1) of the Proxmox host, on unit files of its own folder. Enablement is links in *.wants, as in the real one; the
// running state is kept in /var/lib/lab/units.json. Nothing is executed: starting a unit records that it was started.
import { readFileSync } from "node:fs";
import { ToolError } from "./errors.ts";
import { record, withStored } from "./stored.ts";
import {
  allUnits,
  disable,
  enable,
  enablement,
  find,
  fullName,
  isMasked,
  mask,
  missing,
  section,
} from "./unit-files.ts";

interface Units {
  /** Seconds since 1970 at which the unit became active. */
  active: Record<string, number>;
  masked: string[];
}

function decode(value: unknown): Units {
  const stored = record(value);
  const active = Object.fromEntries(Object.entries(record(stored["active"])).map(([unit, at]) => [unit, Number(at)]));
  return { active, masked: [] };
}

export async function systemctl(args: string[]): Promise<void> {
  const words = args.filter((arg) => !arg.startsWith("-") || arg === "-");
  const flags = new Set(args.filter((arg) => arg.startsWith("-")));
  const [command = "list-units", ...names] = words;
  const units = names.map(fullName);
  const outcome = await withStored(
    "units",
    decode,
    () => ({ active: {}, masked: [] }),
    (state) => perform(state, command, units, flags),
  );
  process.stdout.write(outcome.text);
  process.exitCode = outcome.status;
}

interface Outcome {
  text: string;
  status: number;
}
const fine: Outcome = { text: "", status: 0 };

function perform(state: Units, command: string, units: readonly string[], flags: ReadonlySet<string>): Outcome {
  const now = flags.has("--now");
  const quiet = flags.has("--quiet") || flags.has("-q");
  switch (command) {
    case "daemon-reload":
    case "daemon-reexec":
    case "reset-failed":
      return fine;
    case "enable":
    case "reenable":
      for (const unit of units) enable(unit);
      if (now) for (const unit of units) start(state, unit);
      return fine;
    case "disable":
      for (const unit of units) disable(unit);
      if (now) for (const unit of units) delete state.active[unit];
      return fine;
    case "start":
    case "restart":
    case "reload-or-restart":
      for (const unit of units) start(state, unit);
      return fine;
    case "try-restart":
    case "reload":
      return fine;
    case "stop":
      for (const unit of units) {
        if (find(unit) === undefined && state.active[unit] === undefined)
          throw new ToolError(`Failed to stop ${unit}: Unit ${unit} not loaded.`, 5);
        delete state.active[unit];
      }
      return fine;
    case "mask":
    case "unmask":
      for (const unit of units) mask(unit, command === "mask");
      return fine;
    case "is-active":
      return verdict(
        units.map((unit) => (state.active[unit] === undefined ? "inactive" : "active")),
        "active",
        3,
        quiet,
      );
    case "is-enabled":
      return verdict(
        units.map((unit) => enablement(unit)),
        "enabled",
        1,
        quiet,
      );
    case "is-failed":
      return verdict(
        units.map((unit) => (state.active[unit] === undefined ? "inactive" : "active")),
        "failed",
        1,
        quiet,
      );
    case "status":
      return statusOf(state, units);
    case "show":
      return { text: units.map((unit) => properties(state, unit, flags)).join("\n"), status: 0 };
    case "cat":
      return {
        text: units
          .map((unit) => `# ${find(unit) ?? missing(unit)}\n${readFileSync(find(unit) ?? missing(unit), "utf8")}`)
          .join("\n"),
        status: 0,
      };
    case "list-timers":
      return listTimers(state);
    case "list-unit-files":
      return {
        text: allUnits()
          .map((unit) => `${unit} ${enablement(unit)}\n`)
          .join(""),
        status: 0,
      };
    case "list-units":
      return {
        text: Object.keys(state.active)
          .sort()
          .map((unit) => `${unit} loaded active ${subState(unit)}\n`)
          .join(""),
        status: 0,
      };
    default:
      throw new ToolError(`Unknown command verb '${command}', did you mean 'status'?`, 1);
  }
}

function verdict(words: readonly string[], good: string, bad: number, quiet: boolean): Outcome {
  return { text: quiet ? "" : words.map((word) => `${word}\n`).join(""), status: words.includes(good) ? 0 : bad };
}

function start(state: Units, unit: string): void {
  if (isMasked(unit)) throw new ToolError(`Failed to start ${unit}: Unit ${unit} is masked.`, 1);
  const path = find(unit);
  if (path === undefined) throw new ToolError(`Failed to start ${unit}: Unit ${unit} not found.`, 5);
  const service = section(readFileSync(path, "utf8"), "Service");
  const oneShot = service.get("Type")?.includes("oneshot") === true && service.get("RemainAfterExit")?.[0] !== "yes";
  if (!oneShot) state.active[unit] = Math.floor(Date.now() / 1000);
}

function statusOf(state: Units, units: readonly string[]): Outcome {
  let status = 0;
  const text = units.map((unit) => {
    const path = find(unit) ?? missing(unit);
    const since = state.active[unit];
    if (since === undefined) status = 3;
    const description = section(readFileSync(path, "utf8"), "Unit").get("Description")?.[0] ?? unit;
    const activity =
      since === undefined
        ? "inactive (dead)"
        : `active (${subState(unit)}) since ${new Date(since * 1000).toISOString()}`;
    return `${since === undefined ? "○" : "●"} ${unit} - ${description}\n     Loaded: loaded (${path}; ${enablement(unit)})\n     Active: ${activity}\n`;
  });
  return { text: text.join("\n"), status };
}

function properties(state: Units, unit: string, flags: ReadonlySet<string>): string {
  const active = state.active[unit] !== undefined;
  const all: Record<string, string> = {
    ...{ Id: unit, LoadState: isMasked(unit) ? "masked" : find(unit) === undefined ? "not-found" : "loaded" },
    ...{
      ActiveState: active ? "active" : "inactive",
      SubState: active ? subState(unit) : "dead",
      FragmentPath: find(unit) ?? "",
    },
    ...{ UnitFileState: find(unit) === undefined ? "" : enablement(unit), Result: "success" },
  };
  const asked = [...flags].flatMap((flag) => /^(?:--property=|-p)(.+)$/.exec(flag)?.[1]?.split(",") ?? []);
  const keys = asked.length === 0 ? Object.keys(all) : asked;
  return keys.map((key) => (flags.has("--value") ? `${all[key] ?? ""}\n` : `${key}=${all[key] ?? ""}\n`)).join("");
}

function subState(unit: string): string {
  return unit.endsWith(".timer") ? "waiting" : unit.endsWith(".service") ? "running" : "active";
}

function listTimers(state: Units): Outcome {
  const timers = Object.keys(state.active)
    .filter((unit) => unit.endsWith(".timer"))
    .sort();
  const lines = timers.map((unit) => {
    const path = find(unit);
    const timer = path === undefined ? new Map<string, string[]>() : section(readFileSync(path, "utf8"), "Timer");
    return `${timer.get("OnCalendar")?.[0] ?? "-"}  ${unit}  ${timer.get("Unit")?.[0] ?? unit.replace(/\.timer$/, ".service")}\n`;
  });
  return { text: `SCHEDULE  UNIT  ACTIVATES\n${lines.join("")}\n${timers.length} timers listed.\n`, status: 0 };
}
