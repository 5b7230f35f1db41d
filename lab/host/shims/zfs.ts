// zfs(8): create, destroy, list, get, set, inherit, snapshot, rename.
import { ToolError } from "./errors.ts";
import { humanSize, pairs, parseFlags, table } from "./flags.ts";
import { knownProperties, parentOf, propertyOf, subtree, withZfs } from "./zfs-state.ts";
import type { Dataset, ZfsState } from "./zfs-state.ts";

const numeric = new Set(["used", "available", "referenced", "usedbysnapshots"]);
const nameRule = /^[A-Za-z][\w.:-]*(\/[\w.:-]+)*(@[\w.:-]+)?$/;

export async function zfs(args: string[]): Promise<void> {
  const [command, ...rest] = args;
  const action = command === undefined ? undefined : commands[command];
  if (action === undefined) {
    throw new ToolError(
      `${command === undefined ? "missing command" : `unrecognized command '${command}'`}\nusage: zfs command args ...`,
      2,
    );
  }
  const output = await withZfs((state) => action(state, rest));
  process.stdout.write(output);
}

const commands: Record<string, (state: ZfsState, args: string[]) => string> = {
  create: (state, args) => {
    const flags = parseFlags("zfs create", args, "psuo:V:b:");
    const name = only(flags.rest, "zfs create");
    checkName(name);
    if (state.datasets[name] !== undefined) {
      if (flags.has("p")) return "";
      throw new ToolError(`cannot create '${name}': dataset already exists`, 1);
    }
    const size = flags.values("V")[0];
    const parent = parentOf(name);
    if (parent === undefined || state.pools[name.split("/")[0] ?? ""] === undefined) {
      throw new ToolError(`cannot create '${name}': no such pool '${name.split("/")[0] ?? ""}'`, 1);
    }
    if (state.datasets[parent] === undefined) {
      if (!flags.has("p")) throw new ToolError(`cannot create '${name}': parent does not exist`, 1);
      for (
        let at: string | undefined = parent;
        at !== undefined && state.datasets[at] === undefined;
        at = parentOf(at)
      ) {
        state.datasets[at] = made("filesystem", {});
      }
    }
    const properties = pairs("zfs create", flags.values("o"));
    checkProperties(name, properties);
    state.datasets[name] = made(
      size === undefined ? "filesystem" : "volume",
      size === undefined ? properties : { ...properties, volsize: size },
    );
    return "";
  },
  destroy: (state, args) => {
    const flags = parseFlags("zfs destroy", args, "rRfnvd");
    const name = only(flags.rest, "zfs destroy");
    if (state.datasets[name] === undefined) throw missing(name, name.includes("@"));
    if (parentOf(name) === undefined)
      throw new ToolError(`cannot destroy '${name}': operation does not apply to pools`, 1);
    const all = subtree(state, name);
    if (all.length > 1 && !flags.has("r") && !flags.has("R")) {
      throw new ToolError(
        `cannot destroy '${name}': filesystem has children\nuse '-r' to destroy the following datasets:\n${all.slice(1).join("\n")}`,
        1,
      );
    }
    if (flags.has("n")) return all.map((entry) => `would destroy ${entry}\n`).join("");
    for (const entry of all) delete state.datasets[entry];
    return flags.has("v") ? all.map((entry) => `will destroy ${entry}\n`).join("") : "";
  },
  list: (state, args) => {
    const flags = parseFlags("zfs list", args, "Hprd:o:s:S:t:");
    const columns = (flags.values("o")[0] ?? "name,used,avail,refer,mountpoint").split(",").map(fullName);
    const types = (flags.values("t")[0] ?? "filesystem,volume")
      .split(",")
      .map((type) => ({ fs: "filesystem", vol: "volume", snap: "snapshot" })[type] ?? type);
    const depth = flags.values("d")[0];
    const wanted = flags.rest.length === 0 ? Object.keys(state.datasets) : flags.rest;
    for (const name of wanted) if (state.datasets[name] === undefined) throw missing(name, false);
    const names = new Set(
      flags.rest.length === 0 || flags.has("r") || depth !== undefined
        ? wanted.flatMap((name) =>
            subtree(state, name).filter((child) => depth === undefined || level(child) - level(name) <= Number(depth)),
          )
        : wanted,
    );
    const explicit = flags.rest.length > 0 && !flags.has("t") && !flags.has("r");
    const rows = [...names]
      .sort()
      .filter((name) => explicit || types.includes("all") || types.includes(state.datasets[name]?.kind ?? ""))
      .map((name) => columns.map((column) => shown(state, name, column, flags.has("p"))));
    const heads: Record<string, string> = { available: "AVAIL", referenced: "REFER" };
    return table(
      columns.map((column) => heads[column] ?? column.toUpperCase()),
      rows,
      flags.has("H"),
    );
  },
  get: (state, args) => {
    const flags = parseFlags("zfs get", args, "Hprd:o:s:t:");
    const [keys = "", ...names] = flags.rest;
    if (keys === "") throw new ToolError("missing property argument\nusage: zfs get", 2);
    const columns = (flags.values("o")[0] ?? "name,property,value,source").split(",");
    const targets =
      names.length === 0
        ? Object.keys(state.datasets)
        : flags.has("r")
          ? names.flatMap((name) => subtree(state, name))
          : names;
    const rows = targets.flatMap((name) => {
      if (state.datasets[name] === undefined) throw missing(name, name.includes("@"));
      return (keys === "all" ? knownProperties() : keys.split(",").map(fullName)).map((key) => {
        const property = propertyOf(state, name, key);
        if (property === undefined)
          throw new ToolError(`bad property list: invalid property '${key}'\nusage: zfs get`, 2);
        const cells: Record<string, string> = {
          name,
          property: key,
          value: shown(state, name, key, flags.has("p")),
          source: property.source,
        };
        return columns.map((column) => cells[column] ?? "-");
      });
    });
    return table(
      columns.map((column) => column.toUpperCase()),
      rows,
      flags.has("H"),
    );
  },
  set: (state, args) => {
    const assignments = args.filter((arg) => arg.includes("="));
    const names = args.filter((arg) => !arg.includes("=") && arg !== "-u");
    if (assignments.length === 0 || names.length === 0)
      throw new ToolError("missing property=value argument(s)\nusage: zfs set", 2);
    const properties = pairs("zfs set", assignments);
    for (const name of names) {
      const dataset = state.datasets[name];
      if (dataset === undefined) throw missing(name, false);
      checkProperties(name, properties);
      Object.assign(dataset.properties, properties);
    }
    return "";
  },
  inherit: (state, args) => {
    const [key = "", ...names] = parseFlags("zfs inherit", args, "rS").rest;
    for (const name of names) delete (state.datasets[name] ?? fail(missing(name, false))).properties[key];
    return "";
  },
  snapshot: (state, args) => {
    const flags = parseFlags("zfs snapshot", args, "ro:");
    for (const name of flags.rest) {
      const [dataset = "", label] = name.split("@");
      if (label === undefined || !nameRule.test(name))
        throw new ToolError(`cannot create snapshot '${name}': invalid dataset name`, 1);
      if (state.datasets[dataset] === undefined) throw missing(dataset, false);
      const all = subtree(state, dataset).filter((child) => !child.includes("@"));
      for (const target of flags.has("r") ? all : [dataset]) {
        const snapshot = `${target}@${label}`;
        if (state.datasets[snapshot] !== undefined)
          throw new ToolError(`cannot create snapshot '${snapshot}': dataset already exists`, 1);
        state.datasets[snapshot] = made("snapshot", pairs("zfs snapshot", flags.values("o")));
      }
    }
    return "";
  },
  rename: (state, args) => {
    const [from = "", to = ""] = parseFlags("zfs rename", args, "pru").rest;
    if (state.datasets[from] === undefined) throw missing(from, false);
    if (state.datasets[to] !== undefined) throw new ToolError(`cannot rename '${from}': dataset already exists`, 1);
    for (const name of subtree(state, from)) {
      const dataset = state.datasets[name];
      if (dataset === undefined) continue;
      state.datasets[`${to}${name.slice(from.length)}`] = dataset;
      delete state.datasets[name];
    }
    return "";
  },
  mount: () => "",
};

function shown(state: ZfsState, name: string, key: string, exact: boolean): string {
  const property = propertyOf(state, name, key);
  if (property === undefined) throw new ToolError(`bad property list: invalid property '${key}'\nusage: zfs list`, 2);
  if (exact) return property.value;
  if (key === "creation") return new Date(Number(property.value) * 1000).toUTCString().replace(",", "");
  if (key === "compressratio") return `${property.value}x`;
  return numeric.has(key) && property.value !== "-" ? humanSize(Number(property.value)) : property.value;
}

function fullName(key: string): string {
  return (
    {
      avail: "available",
      refer: "referenced",
      mountpoint: "mountpoint",
      compress: "compression",
      recsize: "recordsize",
    }[key] ?? key
  );
}
function level(name: string): number {
  return name.split(/[/@]/).length;
}
function made(kind: Dataset["kind"], properties: Record<string, string>): Dataset {
  return { kind, properties, creation: Math.floor(Date.now() / 1000) };
}
function missing(name: string, snapshot: boolean): ToolError {
  return new ToolError(
    snapshot
      ? `could not find any snapshots to destroy; check snapshot names.`
      : `cannot open '${name}': dataset does not exist`,
    1,
  );
}
function fail(error: Error): never {
  throw error;
}
function only(rest: readonly string[], usage: string): string {
  const name = rest[0];
  if (name === undefined) throw new ToolError(`missing dataset argument\nusage: ${usage}`, 2);
  if (rest.length > 1) throw new ToolError(`too many arguments\nusage: ${usage}`, 2);
  return name;
}
function checkName(name: string): void {
  if (!nameRule.test(name) || name.includes("@"))
    throw new ToolError(`cannot create '${name}': invalid character in name`, 1);
}
function checkProperties(name: string, properties: Record<string, string>): void {
  const known = new Set([
    ...knownProperties(),
    "volsize",
    "acltype",
    "canmount",
    "special_small_blocks",
    "logbias",
    "secondarycache",
    "encryption",
  ]);
  for (const key of Object.keys(properties)) {
    if (!key.includes(":") && !known.has(key))
      throw new ToolError(`cannot set property for '${name}': invalid property '${key}'`, 1);
  }
}
