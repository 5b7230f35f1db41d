// Unit files of a machine's own folder: where they are, their drop-ins, and enablement as links in *.wants.
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { ToolError } from "./errors.ts";

const unitFolders = [
  "/etc/systemd/system",
  "/run/systemd/system",
  "/usr/local/lib/systemd/system",
  "/usr/lib/systemd/system",
];
const etc = "/etc/systemd/system";
const suffix = /\.(service|timer|socket|target|mount|path|slice|swap)$/;

/** What systemctl makes of a name without a suffix. */
export function fullName(name: string): string {
  return suffix.test(name) ? name : `${name}.service`;
}

/** `name@.service` for `name@instance.service`. */
function templateOf(unit: string): string {
  return unit.replace(/@[^.]*\./, "@.");
}

/** The unit's file; a template serves its instances. */
export function find(unit: string): string | undefined {
  return [unit, templateOf(unit)]
    .flatMap((name) => unitFolders.map((folder) => `${folder}/${name}`))
    .find((path) => existsSync(path));
}

/** Drop-ins in the order in which they apply; of two with one name the one in /etc counts (systemd.unit(5)). */
export function dropIns(unit: string): string[] {
  const type = suffix.exec(unit)?.[1] ?? "service";
  const byName = new Map<string, string>();
  // The least specific first, and the least important folder first: later ones take their place.
  for (const name of [type, ...dashPrefixes(unit), templateOf(unit), unit])
    for (const folder of [...unitFolders].reverse()) {
      const place = `${folder}/${name}.d`;
      if (!existsSync(place)) continue;
      for (const file of readdirSync(place)) if (file.endsWith(".conf")) byName.set(file, `${place}/${file}`);
    }
  return [...byName].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path);
}

/** `foo-bar-baz.service` is also served by `foo-.service.d` and `foo-bar-.service.d`. */
function dashPrefixes(unit: string): string[] {
  const stem = unit.replace(suffix, "");
  const parts = (stem.split("@")[0] ?? "").split("-");
  return parts.slice(1).map((_, index) => `${parts.slice(0, index + 1).join("-")}-${suffix.exec(unit)?.[0] ?? ""}`);
}

export function missing(unit: string): never {
  throw new ToolError(`Unit ${unit} could not be found.`, 4);
}

export function isMasked(unit: string): boolean {
  const path = `${etc}/${unit}`;
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true && !existsSync(path);
}

export function mask(unit: string, on: boolean): void {
  if (on && !isMasked(unit)) symlinkSync("/.lab/masked", `${etc}/${unit}`);
  if (!on && isMasked(unit)) rmSync(`${etc}/${unit}`);
}

export function enable(unit: string, quiet = false): void {
  const path = find(unit);
  if (path === undefined) throw new ToolError(`Failed to enable unit: Unit file ${unit} does not exist.`, 1);
  const install = section(readFileSync(path, "utf8"), "Install");
  for (const [key, ending] of [
    ["WantedBy", "wants"],
    ["RequiredBy", "requires"],
  ] as const) {
    for (const target of (install.get(key) ?? [])
      .flatMap((value) => value.split(/\s+/))
      .filter((word) => word !== "")) {
      const folder = `${etc}/${target}.${ending}`;
      mkdirSync(folder, { recursive: true });
      if (lstatSync(`${folder}/${unit}`, { throwIfNoEntry: false }) !== undefined) continue;
      symlinkSync(path, `${folder}/${unit}`);
      if (!quiet) process.stderr.write(`Created symlink ${folder}/${unit} → ${path}.\n`);
    }
  }
}

function wantedLinks(unit: string): string[] {
  return readdirSync(etc)
    .filter((name) => /\.(wants|requires)$/.test(name))
    .map((name) => `${etc}/${name}/${unit}`)
    .filter((path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined);
}

/** Units that a boot starts: those that any target wants or requires. */
export function enabledUnits(): string[] {
  const folders = existsSync(etc) ? readdirSync(etc).filter((name) => /\.target\.(wants|requires)$/.test(name)) : [];
  const units = folders.flatMap((folder) => readdirSync(`${etc}/${folder}`));
  return [...new Set(units)].filter((unit) => find(unit) !== undefined && !isMasked(unit)).sort();
}

export function disable(unit: string, quiet = false): void {
  if (find(unit) === undefined && wantedLinks(unit).length === 0) {
    throw new ToolError(`Failed to disable unit: Unit file ${unit} does not exist.`, 1);
  }
  for (const path of wantedLinks(unit)) {
    rmSync(path);
    if (!quiet) process.stderr.write(`Removed "${path}".\n`);
  }
}

export function enablement(unit: string): string {
  if (isMasked(unit)) return "masked";
  const path = find(unit);
  if (path === undefined) {
    process.stderr.write(`Failed to get unit file state for ${unit}: No such file or directory\n`);
    return "not-found";
  }
  if (wantedLinks(unit).length > 0) return "enabled";
  return section(readFileSync(path, "utf8"), "Install").size === 0 ? "static" : "disabled";
}

export function allUnits(): string[] {
  const names = unitFolders.slice(0, 3).flatMap((folder) => (existsSync(folder) ? readdirSync(folder) : []));
  return [...new Set(names)].filter((name) => suffix.test(name)).sort();
}

/** Names of units that match a pattern of systemctl, `*` and `?`. */
export function matching(pattern: string): (unit: string) => boolean {
  if (!/[*?]/.test(pattern)) return (unit) => unit === pattern;
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  const whole = new RegExp(`^${source}$`);
  return (unit) => whole.test(unit);
}

/** Keys of one section of a unit file, each with its values in order. */
export function section(text: string, name: string): Map<string, string[]> {
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
