import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { readIfThere } from "../targets/stateFolder.ts";

/** A lock on a stack, as the engine writes it. */
export interface LockInfo {
  /** File of the lock, or its address on another backend. */
  readonly place: string;
  readonly pid: number;
  readonly username: string;
  readonly hostname: string;
  /** ISO 8601 time of taking. */
  readonly timestamp: string;
}

/** What is known of a process with the lock's pid on this machine. */
export interface HolderFacts {
  readonly thisHost: string;
  /** Start time of the live process with that pid in ms since 1970; `undefined` when none lives. */
  readonly startedAtMs: number | undefined;
  /** Start time of this machine, in ms since 1970. */
  readonly bootedAtMs: number;
}

export type LockVerdict =
  | { readonly kind: "dead"; readonly why: string }
  | { readonly kind: "alive"; readonly why: string }
  | { readonly kind: "elsewhere"; readonly why: string };

/** Clock ticks and file times are rounded: a start this much after the lock still counts as before it. */
const roundingMs = 2_000;

/** Whether a lock's holder is dead: only on this machine can that be known. Pure. */
export function judgeLock(lock: LockInfo, facts: HolderFacts): LockVerdict {
  const who = `${lock.username}@${lock.hostname}, process ${String(lock.pid)}, since ${lock.timestamp}`;
  if (lock.hostname !== facts.thisHost) return { kind: "elsewhere", why: `held by ${who}: another machine` };
  if (facts.startedAtMs === undefined) return { kind: "dead", why: `held by ${who}: that process is gone` };
  const taken = Date.parse(lock.timestamp);
  if (!Number.isNaN(taken) && facts.startedAtMs > taken + roundingMs)
    return { kind: "dead", why: `held by ${who}: that process is gone, its number belongs to a younger one` };
  return { kind: "alive", why: `held by ${who}, which still runs` };
}

/** Decodes a lock file; `undefined` for a torn one. */
export function decodeLock(place: string, text: string): LockInfo | undefined {
  try {
    const content: unknown = JSON.parse(text);
    if (typeof content !== "object" || content === null) return undefined;
    const field = (name: string): unknown => Reflect.get(content, name);
    const pid = field("pid");
    if (typeof pid !== "number" || !Number.isSafeInteger(pid) || pid <= 0) return undefined;
    return {
      place,
      pid,
      username: String(field("username")),
      hostname: String(field("hostname")),
      timestamp: String(field("timestamp")),
    };
  } catch {
    return undefined;
  }
}

/** The locks that the engine names in its refusal; for backends whose files cannot be read here. */
export function locksInMessage(message: string): LockInfo[] {
  return [...message.matchAll(/^\s*(\S+): created by (.+?)@(\S+) \(pid (\d+)\) at (\S+)/gm)].map((match) => ({
    place: match[1] ?? "",
    username: match[2] ?? "",
    hostname: match[3] ?? "",
    pid: Number(match[4]),
    timestamp: match[5] ?? "",
  }));
}

/** Folder of a stack's locks in a `file://` backend. */
export function lockFolder(backend: string, project: string, stack: string): string {
  return join(backend, ".pulumi", "locks", "organization", project, stack);
}

/** The locks of a stack in a `file://` backend. A torn lock file (its writer was killed) has process 0. */
export function readLocks(backend: string, project: string, stack: string): LockInfo[] {
  const folder = lockFolder(backend, project, stack);
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names
    .filter((name) => name.endsWith(".json"))
    .flatMap((name) => {
      const place = join(folder, name);
      const text = readIfThere(place);
      if (text === undefined) return [];
      return [decodeLock(place, text) ?? { place, pid: 0, username: "unknown", hostname: hostname(), timestamp: "" }];
    });
}

/** What this machine knows of a lock's holder. */
export function observeHolder(lock: LockInfo): HolderFacts {
  return {
    thisHost: hostname(),
    startedAtMs: lock.pid > 0 ? processStartMs(lock.pid) : undefined,
    bootedAtMs: bootMs(),
  };
}

function bootMs(): number {
  if (process.platform !== "linux") return 0;
  const line = /^btime (\d+)$/m.exec(readFileSync("/proc/stat", "utf8"));
  return Number(line?.[1] ?? 0) * 1000;
}

/** Linux: field 22 of proc(5) stat in clock ticks (100 a second on every Linux ABI) since boot. */
function processStartMs(pid: number): number | undefined {
  if (process.platform === "linux") {
    const stat = readIfThere(`/proc/${String(pid)}/stat`);
    if (stat === undefined) return undefined;
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    return bootMs() + Number(fields[19]) * 10;
  }
  try {
    const text = execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8", timeout: 5_000 });
    const started = Date.parse(text.trim());
    return Number.isNaN(started) ? undefined : started;
  } catch {
    return undefined;
  }
}

/** Removes one lock of a `file://` backend. */
export function breakLock(lock: LockInfo): void {
  for (const file of [lock.place, `${lock.place}.attrs`]) rmSync(file, { force: true });
}
