// State of the tools, one JSON file each in /var/lib/lab of the machine's own folder: whole-file replace under a lock.
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { ToolError } from "./errors.ts";

const folder = process.env["LAB_TOOL_STATE"] ?? "/var/lib/lab";
const lockWaitMs = 20_000;
/** A change takes milliseconds: an older lock was left by a tool that was killed, whoever has its number by now. */
const lockLivesMs = 8_000;

/** Reads `name`, lets `change` alter it, writes it when it differs. `initial` is used while there is no file. */
export async function withStored<State, Result>(
  name: string,
  decode: (value: unknown) => State,
  initial: () => Promise<State> | State,
  change: (state: State) => Result,
): Promise<Result> {
  mkdirSync(folder, { recursive: true });
  const path = `${folder}/${name}.json`;
  const release = await lock(`${path}.lock`);
  try {
    const before = read(path);
    const state = before === undefined ? await initial() : decode(JSON.parse(before));
    const result = change(state);
    const after = `${JSON.stringify(state, null, 1)}\n`;
    if (after !== before) replace(path, after);
    return result;
  } finally {
    release();
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function replace(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  const descriptor = openSync(temporary, "w", 0o600);
  writeSync(descriptor, text);
  fsyncSync(descriptor);
  closeSync(descriptor);
  renameSync(temporary, path);
}

async function lock(path: string): Promise<() => void> {
  const giveUp = Date.now() + lockWaitMs;
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: "wx" });
      return () => rmSync(path, { force: true });
    } catch {
      const holder = Number(read(path));
      const gone = Number.isInteger(holder) && holder > 0 && !isAlive(holder);
      if (gone || ageMs(path) > lockLivesMs) rmSync(path, { force: true });
      else if (Date.now() > giveUp) throw new ToolError(`${path}: held by process ${holder}`, 1);
      else await sleep(15);
    }
  }
}

function ageMs(path: string): number {
  const info = statSync(path, { throwIfNoEntry: false });
  return info === undefined ? 0 : Date.now() - info.mtimeMs;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : {};
}

export function strings(value: unknown): Record<string, string> {
  return Object.fromEntries(
    Object.entries(record(value)).flatMap(([key, entry]) => (typeof entry === "string" ? [[key, entry]] : [])),
  );
}
