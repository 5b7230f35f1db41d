// systemctl(1) on unit files of the machine's own folder. Enablement is links in *.wants, as in the real one; the
// running state is kept in /var/lib/lab/units.json. Nothing is executed: starting a unit records that it was started.
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { ToolError } from "./errors.ts";
import { record, withStored } from "./stored.ts";

const unitFolders = [
  "/etc/systemd/system",
  "/run/systemd/system",
  "/usr/local/lib/systemd/system",
  "/usr/lib/systemd/system",
];
const etc = "/etc/systemd/system";

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
  const units = names.map((name) =>
    /\.(service|timer|socket|target|mount|path|slice|swap)$/.test(name) ? name : `${name}.service`,
  );
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

/** The unit's file; a template serves its instances. */
function find(unit: string): string | undefined {
  const names = [unit, unit.replace(/@[^.]*\./, "@.")];
  return names.flatMap((name) => unitFolders.map((folder) => `${folder}/${name}`)).find((path) => existsSync(path));
}

function missing(unit: string): never {
  throw new ToolError(`Unit ${unit} could not be found.`, 4);
}

function isMasked(unit: string): boolean {
  const path = `${etc}/${unit}`;
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true && !existsSync(path);
}

function mask(unit: string, on: boolean): void {
  if (on && !isMasked(unit)) symlinkSync("/.lab/masked", `${etc}/${unit}`);
  if (!on && isMasked(unit)) rmSync(`${etc}/${unit}`);
}

function start(state: Units, unit: string): void {
  if (isMasked(unit)) throw new ToolError(`Failed to start ${unit}: Unit ${unit} is masked.`, 1);
  const path = find(unit);
  if (path === undefined) throw new ToolError(`Failed to start ${unit}: Unit ${unit} not found.`, 5);
  const service = section(readFileSync(path, "utf8"), "Service");
  const oneShot = service.get("Type")?.includes("oneshot") === true && service.get("RemainAfterExit")?.[0] !== "yes";
  if (!oneShot) state.active[unit] = Math.floor(Date.now() / 1000);
}

function enable(unit: string): void {
  const path = find(unit);
  if (path === undefined) throw new ToolError(`Failed to enable unit: Unit file ${unit} does not exist.`, 1);
  const install = section(readFileSync(path, "utf8"), "Install");
  for (const [key, suffix] of [
    ["WantedBy", "wants"],
    ["RequiredBy", "requires"],
  ] as const) {
    for (const target of (install.get(key) ?? [])
      .flatMap((value) => value.split(/\s+/))
      .filter((word) => word !== "")) {
      const folder = `${etc}/${target}.${suffix}`;
      mkdirSync(folder, { recursive: true });
      if (lstatSync(`${folder}/${unit}`, { throwIfNoEntry: false }) !== undefined) continue;
      symlinkSync(path, `${folder}/${unit}`);
      process.stderr.write(`Created symlink ${folder}/${unit} → ${path}.\n`);
    }
  }
}

function wantedLinks(unit: string): string[] {
  return readdirSync(etc)
    .filter((name) => /\.(wants|requires)$/.test(name))
    .map((name) => `${etc}/${name}/${unit}`)
    .filter((path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined);
}

function disable(unit: string): void {
  if (find(unit) === undefined && wantedLinks(unit).length === 0) {
    throw new ToolError(`Failed to disable unit: Unit file ${unit} does not exist.`, 1);
  }
  for (const path of wantedLinks(unit)) {
    rmSync(path);
    process.stderr.write(`Removed "${path}".\n`);
  }
}

function enablement(unit: string): string {
  if (isMasked(unit)) return "masked";
  const path = find(unit);
  if (path === undefined) {
    process.stderr.write(`Failed to get unit file state for ${unit}: No such file or directory\n`);
    return "not-found";
  }
  if (wantedLinks(unit).length > 0) return "enabled";
  return section(readFileSync(path, "utf8"), "Install").size === 0 ? "static" : "disabled";
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

function allUnits(): string[] {
  const names = unitFolders.slice(0, 3).flatMap((folder) => (existsSync(folder) ? readdirSync(folder) : []));
  return [...new Set(names)]
    .filter((name) => /\.(service|timer|socket|target|mount|path|slice|swap)$/.test(name))
    .sort();
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

/** Keys of one section of a unit file, each with its values in order. */
function section(text: string, name: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  let current = "";
  for (const raw of text.replace(/\\\n/g, " ").split("\n")) {
    const line = raw.trim();
    const header = /^\[(.+)\]$/.exec(line)?.[1];
    if (header !== undefined) current = header;
    const cut = line.indexOf("=");
    if (current !== name || cut <= 0 || line.startsWith("#") || line.startsWith(";")) continue;
    const key = line.slice(0, cut).trim();
    found.set(key, [...(found.get(key) ?? []), line.slice(cut + 1).trim()]);
  }
  return found;
}
