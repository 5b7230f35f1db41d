// zpool(8): create, destroy, list, status, get, set, scrub, trim.
import { ToolError } from "./errors.ts";
import { humanSize, pairs, parseFlags, table } from "./flags.ts";
import { newPool, subtree, withZfs } from "./zfs-state.ts";
import type { Pool, ZfsState } from "./zfs-state.ts";

export async function zpool(args: string[]): Promise<void> {
  const [command, ...rest] = args;
  const action = command === undefined ? undefined : commands[command];
  if (action === undefined) {
    throw new ToolError(
      `${command === undefined ? "missing command" : `unrecognized command '${command}'`}\nusage: zpool command args ...`,
      2,
    );
  }
  const output = await withZfs((state) => action(state, rest));
  process.stdout.write(output);
}

const commands: Record<string, (state: ZfsState, args: string[]) => string> = {
  create: (state, args) => {
    const flags = parseFlags("zpool create", args, "fndo:O:m:R:");
    const [name, ...vdevs] = flags.rest;
    if (name === undefined) throw new ToolError("missing pool name argument\nusage: zpool create", 2);
    if (vdevs.length === 0) throw new ToolError("missing vdev specification\nusage: zpool create", 2);
    if (!/^[A-Za-z][\w.:-]*$/.test(name))
      throw new ToolError(`cannot create '${name}': invalid character in pool name`, 1);
    if (state.pools[name] !== undefined) throw new ToolError(`cannot create '${name}': pool already exists`, 1);
    const drives = vdevs.filter(
      (word) => !["mirror", "raidz", "raidz1", "raidz2", "raidz3", "log", "cache", "spare", "special"].includes(word),
    );
    for (const [other, pool] of Object.entries(state.pools)) {
      const busy = drives.find((drive) => pool.vdevs.some((used) => used === drive || used.startsWith(`${drive}p`)));
      if (busy !== undefined)
        throw new ToolError(
          `invalid vdev specification\nuse '-f' to override the following errors:\n${busy} is part of active pool '${other}'`,
          1,
        );
    }
    if (vdevs[0] === "mirror" && drives.length < 2)
      throw new ToolError("invalid vdev specification: mirror requires at least 2 devices", 1);
    if (flags.has("n")) return `would create '${name}' with the following layout:\n${layout(name, vdevs)}`;
    state.pools[name] = newPool(vdevs, pairs("zpool create", flags.values("o")));
    const mountpoint = flags.values("m")[0];
    const properties = {
      ...pairs("zpool create", flags.values("O")),
      ...(mountpoint === undefined ? {} : { mountpoint }),
    };
    state.datasets[name] = { kind: "filesystem", properties, creation: Math.floor(Date.now() / 1000) };
    return "";
  },
  destroy: (state, args) => {
    const name = parseFlags("zpool destroy", args, "f").rest[0];
    if (name === undefined) throw new ToolError("missing pool argument\nusage: zpool destroy", 2);
    poolOf(state, name);
    delete state.pools[name];
    for (const dataset of subtree(state, name)) delete state.datasets[dataset];
    return "";
  },
  list: (state, args) => {
    const flags = parseFlags("zpool list", args, "HpvLPo:");
    const columns = (
      flags.values("o")[0] ?? "name,size,alloc,free,ckpoint,expandsz,frag,cap,dedup,health,altroot"
    ).split(",");
    const names = flags.rest.length === 0 ? Object.keys(state.pools).sort() : flags.rest;
    const rows = names.map((name) =>
      columns.map((column) => property(name, poolOf(state, name), column, flags.has("p")) ?? bad(column)),
    );
    return rows.length === 0
      ? flags.has("H")
        ? ""
        : "no pools available\n"
      : table(
          columns.map((column) => column.toUpperCase()),
          rows,
          flags.has("H"),
        );
  },
  status: (state, args) => {
    const flags = parseFlags("zpool status", args, "xvLPDt");
    const names = flags.rest.length === 0 ? Object.keys(state.pools).sort() : flags.rest;
    if (flags.has("x"))
      return (
        names.forEach((name) => poolOf(state, name)),
        flags.rest.length === 1 ? `pool '${names[0]}' is healthy\n` : "all pools are healthy\n"
      );
    if (names.length === 0) return "no pools available\n";
    return names
      .map(
        (name) =>
          `  pool: ${name}\n state: ONLINE\nconfig:\n\n\tNAME  STATE     READ WRITE CKSUM\n${layout(name, poolOf(state, name).vdevs)}\nerrors: No known data errors\n`,
      )
      .join("\n");
  },
  get: (state, args) => {
    const flags = parseFlags("zpool get", args, "Hpo:");
    const [keys = "all", ...names] = flags.rest;
    const columns = (flags.values("o")[0] ?? "name,property,value,source").split(",");
    const rows = (names.length === 0 ? Object.keys(state.pools) : names).flatMap((name) => {
      const pool = poolOf(state, name);
      const wanted =
        keys === "all" ? ["size", "capacity", "health", "free", "allocated", "ashift", "autotrim"] : keys.split(",");
      return wanted.map((key) => {
        const cells: Record<string, string> = {
          ...{ name, property: key, value: property(name, pool, key, flags.has("p")) ?? bad(key) },
          source:
            pool.properties[key] === undefined ? (key === "autotrim" || key === "ashift" ? "default" : "-") : "local",
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
    const [assignment = "", name = ""] = args;
    Object.assign(poolOf(state, name).properties, pairs("zpool set", [assignment]));
    return "";
  },
  scrub: (state, args) => (poolOf(state, parseFlags("zpool scrub", args, "spw").rest[0] ?? ""), ""),
  trim: (state, args) => (poolOf(state, parseFlags("zpool trim", args, "dcsrw:").rest[0] ?? ""), ""),
};

function poolOf(state: ZfsState, name: string): Pool {
  const pool = state.pools[name];
  if (pool === undefined) throw new ToolError(`cannot open '${name}': no such pool`, 1);
  return pool;
}

function bad(key: string): never {
  throw new ToolError(`bad property list: invalid property '${key}'\nusage: zpool`, 2);
}

function property(name: string, pool: Pool, key: string, exact: boolean): string | undefined {
  const usedBytes = 5_368_709_120;
  const size = (bytes: number): string => (exact ? String(bytes) : humanSize(bytes));
  const known: Record<string, string> = {
    ...{
      name,
      size: size(pool.sizeBytes),
      alloc: size(usedBytes),
      allocated: size(usedBytes),
      free: size(pool.sizeBytes - usedBytes),
    },
    ...{
      ckpoint: "-",
      checkpoint: "-",
      expandsz: "-",
      expandsize: "-",
      frag: exact ? "0" : "0%",
      fragmentation: exact ? "0" : "0%",
      altroot: "-",
    },
    ...{
      cap: exact ? "0" : "0%",
      capacity: exact ? "0" : "0%",
      dedup: exact ? "1.00" : "1.00x",
      dedupratio: exact ? "1.00" : "1.00x",
      health: "ONLINE",
    },
    ...{
      ashift: "0",
      autotrim: "off",
      autoexpand: "off",
      autoreplace: "off",
      failmode: "wait",
      comment: "-",
      ...pool.properties,
    },
  };
  return known[key];
}

function layout(name: string, vdevs: readonly string[]): string {
  let group = 0;
  let indent = "  ";
  const lines = vdevs.map((word) => {
    if (!/^(mirror|raidz[123]?)$/.test(word))
      return `\t${indent}${word.replace(/^\/dev\//, "")}  ONLINE       0     0     0\n`;
    indent = "    ";
    return `\t  ${word}-${group++}  ONLINE       0     0     0\n`;
  });
  return `\t${name}  ONLINE       0     0     0\n${lines.join("")}`;
}
