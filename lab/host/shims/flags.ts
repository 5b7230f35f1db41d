// POSIX getopt for the tools that use it: bundled letters, values attached or following, `--` ends the options.
import { ToolError } from "./errors.ts";

export interface Flags {
  has: (letter: string) => boolean;
  values: (letter: string) => string[];
  rest: string[];
}

/** @param spec letters as getopt(3) takes them: `Hpo:` has a value for o. Options may follow arguments. */
export function parseFlags(tool: string, args: readonly string[], spec: string): Flags {
  const seen = new Map<string, string[]>();
  const rest: string[] = [];
  const queue = [...args];
  for (let arg = queue.shift(); arg !== undefined; arg = queue.shift()) {
    if (arg === "--") {
      rest.push(...queue);
      break;
    }
    if (!/^-[^-]/.test(arg)) {
      rest.push(arg);
      continue;
    }
    for (let index = 1; index < arg.length; index += 1) {
      const letter = arg.charAt(index);
      const at = spec.indexOf(letter);
      if (at < 0 || letter === ":") throw new ToolError(`invalid option '${letter}'\nusage: ${tool}`, 2);
      const list = seen.get(letter) ?? [];
      seen.set(letter, list);
      if (spec.charAt(at + 1) !== ":") continue;
      const value = index + 1 < arg.length ? arg.slice(index + 1) : queue.shift();
      if (value === undefined) throw new ToolError(`missing argument for '${letter}' option\nusage: ${tool}`, 2);
      list.push(value);
      break;
    }
  }
  return { has: (letter) => seen.has(letter), values: (letter) => seen.get(letter) ?? [], rest };
}

/** `key=value` pairs of repeated -o options. */
export function pairs(tool: string, values: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    values.map((text) => {
      const cut = text.indexOf("=");
      if (cut <= 0) throw new ToolError(`missing '=' for property=value argument\nusage: ${tool}`, 2);
      return [text.slice(0, cut), text.slice(cut + 1)];
    }),
  );
}

/** Columns as zfs(8) prints them: tab-separated without header with -H, else aligned under a header. */
export function table(header: readonly string[], rows: readonly (readonly string[])[], scripted: boolean): string {
  if (scripted) return rows.map((row) => `${row.join("\t")}\n`).join("");
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  return all
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

/** 1.82T as zfs prints sizes without -p. */
export function humanSize(bytes: number): string {
  const units = ["B", "K", "M", "G", "T", "P"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)}${units[unit] ?? ""}`;
}
