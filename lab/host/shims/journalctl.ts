// journalctl(1) in a guest, on the journal that its supervisor writes.
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ToolError } from "./errors.ts";
import { readAll } from "./init/journal.ts";
import type { Entry } from "./init/journal.ts";
import { fullName, matching } from "./unit-files.ts";

const flag = { type: "boolean" } as const;
const text = { type: "string" } as const;
const options = {
  unit: { ...text, short: "u", multiple: true },
  lines: { ...text, short: "n" },
  output: { ...text, short: "o" },
  follow: { ...flag, short: "f" },
  since: { ...text, short: "S" },
  until: { ...text, short: "U" },
  "after-cursor": text,
  reverse: { ...flag, short: "r" },
  quiet: { ...flag, short: "q" },
  flush: flag,
  sync: flag,
  // Taken, and without a meaning here.
  "no-pager": flag,
  boot: { ...flag, short: "b" },
  catalog: { ...flag, short: "x" },
  "pager-end": { ...flag, short: "e" },
  all: { ...flag, short: "a" },
  "no-tail": flag,
  "no-hostname": flag,
  "output-fields": text,
} as const;
const formats = ["short", "short-iso", "short-precise", "cat", "json"];

export async function journalctl(args: string[]): Promise<void> {
  const { values, positionals } = parse(args);
  if (values.flush === true || values.sync === true) return;
  const format = values.output ?? "short";
  if (!formats.includes(format)) throw new ToolError(`Unknown output format '${format}'.`, 1);
  const wanted = filterOf(values, positionals);
  const limit = values.lines === undefined ? (values.follow === true ? 10 : Infinity) : Number(values.lines);
  const found = readAll().filter(wanted);
  const shown = limit === Infinity || Number.isNaN(limit) ? found : found.slice(-limit || found.length);
  const print = (entries: readonly Entry[]): void =>
    void process.stdout.write(entries.map((entry) => `${formatted(entry, format)}\n`).join(""));
  print(values.reverse === true ? shown.toReversed() : shown);
  if (found.length === 0 && values.follow !== true && format !== "json" && values.quiet !== true)
    process.stdout.write("-- No entries --\n");
  let last = found.at(-1)?.at ?? 0;
  while (values.follow === true) {
    await sleep(100);
    const more = readAll().filter((entry) => entry.at > last && wanted(entry));
    print(more);
    last = more.at(-1)?.at ?? last;
  }
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new ToolError(`journalctl: ${error instanceof Error ? error.message : String(error)}`, 1);
  }
}

function filterOf(values: ReturnType<typeof parse>["values"], fields: readonly string[]): (entry: Entry) => boolean {
  const units = (values.unit ?? []).map((name) => matching(/[*?]/.test(name) ? name : fullName(name)));
  const since = values.since === undefined ? 0 : timeOf(values.since);
  const until = values.until === undefined ? Infinity : timeOf(values.until);
  const [, after = "0"] = /^lab;(\d+)$/.exec(values["after-cursor"] ?? "lab;0") ?? [];
  const matches = fields.map((field) => {
    const cut = field.indexOf("=");
    if (cut <= 0) throw new ToolError(`Failed to add match '${field}': Invalid argument`, 1);
    return [field.slice(0, cut), field.slice(cut + 1)] as const;
  });
  return (entry) => {
    const all = fieldsOf(entry);
    return (
      (units.length === 0 || units.some((matchesUnit) => matchesUnit(entry.unit))) &&
      entry.at >= since &&
      entry.at <= until &&
      entry.at > Number(after) &&
      matches.every(([name, value]) => all[name] === value)
    );
  };
}

/** `@SECONDS` or a date and time, in µs. */
function timeOf(text: string): number {
  const ms = /^@\d+(\.\d+)?$/.test(text) ? Number(text.slice(1)) * 1000 : Date.parse(text);
  if (Number.isNaN(ms)) throw new ToolError(`Failed to parse timestamp: ${text}`, 1);
  return ms * 1000;
}

function fieldsOf(entry: Entry): Record<string, string> {
  const ofManager = entry.who === "systemd";
  return {
    __CURSOR: `lab;${String(entry.at)}`,
    __REALTIME_TIMESTAMP: String(entry.at),
    _PID: String(entry.pid),
    SYSLOG_IDENTIFIER: entry.who,
    MESSAGE: entry.text,
    // Of the manager's own lines the unit is the one they are about (systemd.journal-fields(7)).
    [ofManager ? "UNIT" : "_SYSTEMD_UNIT"]: entry.unit,
    [ofManager ? "INVOCATION_ID" : "_SYSTEMD_INVOCATION_ID"]: entry.invocation,
    PRIORITY: "6",
  };
}

function formatted(entry: Entry, format: string): string {
  if (format === "cat") return entry.text;
  if (format === "json") return JSON.stringify(fieldsOf(entry));
  const at = new Date(entry.at / 1000);
  const stamp = format === "short-iso" ? at.toISOString() : at.toUTCString().slice(5, -4);
  return `${stamp} ${readFileSync("/etc/hostname", "utf8").trim()} ${entry.who}[${String(entry.pid)}]: ${entry.text}`;
}
