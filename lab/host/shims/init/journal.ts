// The guest's journal: a line of JSON for each message, kept over reboots, bounded. Fields as systemd.journal-fields(7).
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, statSync } from "node:fs";

const folder = "/var/log/journal";
const file = `${folder}/lab.jsonl`;
const older = `${folder}/lab.old.jsonl`;
/** Beyond it the journal is moved aside once, and what was aside is lost. */
const mostBytes = 4 * 1024 * 1024;
const mostLineBytes = 48 * 1024; // LineMax= of journald.conf(5)

export interface Entry {
  /** µs since 1970. */
  readonly at: number;
  readonly unit: string;
  readonly invocation: string;
  readonly pid: number;
  /** Name of what speaks. */
  readonly who: string;
  readonly text: string;
}

let size: number | undefined;

export function write(entry: Omit<Entry, "at">): void {
  mkdirSync(folder, { recursive: true });
  size ??= existsSync(file) ? statSync(file).size : 0;
  const line = `${JSON.stringify({ at: Date.now() * 1000, ...entry })}\n`;
  if (size > mostBytes) {
    renameSync(file, older);
    size = 0;
  }
  appendFileSync(file, line, { mode: 0o640 });
  size += Buffer.byteLength(line);
}

/** Takes a stream apart into lines; what is left at its end is a line, too. */
export function lineSplitter(take: (line: string) => void): { add: (chunk: Buffer) => void; end: () => void } {
  let partial: Buffer = Buffer.alloc(0);
  return {
    add: (chunk) => {
      let rest = Buffer.concat([partial, chunk]);
      for (let cut = cutOf(rest); cut > 0; cut = cutOf(rest)) {
        take(rest.toString("utf8", 0, cut).replace(/\n$/, ""));
        rest = rest.subarray(cut);
      }
      partial = Buffer.from(rest);
    },
    end: () => {
      if (partial.length > 0) take(partial.toString("utf8"));
      partial = Buffer.alloc(0);
    },
  };
}

function cutOf(bytes: Buffer): number {
  const newline = bytes.indexOf(10) + 1;
  if (newline > 0 && newline <= mostLineBytes) return newline;
  return bytes.length >= mostLineBytes ? mostLineBytes : 0;
}

/** All entries, the oldest first. A line that a crash cut short is left out. */
export function readAll(): Entry[] {
  return [older, file]
    .filter((path) => existsSync(path))
    .flatMap((path) => readFileSync(path, "utf8").split("\n"))
    .flatMap((line) => {
      try {
        const entry: unknown = JSON.parse(line);
        return isEntry(entry) ? [entry] : [];
      } catch {
        return [];
      }
    });
}

function isEntry(value: unknown): value is Entry {
  if (typeof value !== "object" || value === null) return false;
  const fields = new Map(Object.entries(value));
  return (
    ["at", "pid"].every((key) => typeof fields.get(key) === "number") &&
    ["unit", "invocation", "who", "text"].every((key) => typeof fields.get(key) === "string")
  );
}
