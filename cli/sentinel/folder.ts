/** Where the lab's Sentinel keeps its things, and sentinel.json: how others find it while its process lives. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Identity, isAlive } from "../../lab/keeper/folder.ts";
import { readIfThere, writeWhole } from "../targets/stateFolder.ts";

/** All of it lies below `<lab state>/sentinel`, 0700. */
export interface SentinelFolder {
  readonly root: string;
  readonly config: string;
  readonly state: string;
  /** Its output: one JSON line an event. */
  readonly output: string;
  readonly found: string;
}

/** Paths only; nothing is made. */
export function sentinelFolder(labStateDir: string): SentinelFolder {
  const root = join(labStateDir, "sentinel");
  return {
    root,
    config: join(root, "sentinel.yaml"),
    state: join(root, "state"),
    output: join(root, "sentinel.log"),
    found: join(root, "sentinel.json"),
  };
}

export function makeSentinelFolder(folder: SentinelFolder): void {
  for (const path of [folder.root, folder.state]) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chmodSync(path, 0o700);
  }
}

/** A Unix socket's path has at most 107 bytes, and `api.sock` stands in this folder. */
const longestFolderBytes = 107 - "/api.sock".length;

/** The folder of socket and token: below the lab's own where its path is short enough, else a private one in /tmp. */
export function makeRuntimeFolder(folder: SentinelFolder): string {
  const usual = join(folder.root, "run");
  if (Buffer.byteLength(usual) > longestFolderBytes) return mkdtempSync(join(tmpdir(), "hive-sentinel-"));
  mkdirSync(usual, { recursive: true, mode: 0o700 });
  return usual;
}

/** What sentinel.json says. */
export interface FoundSentinel extends Identity {
  /** Folder of `api.sock` and `api.token`. */
  readonly runtime: string;
  /** Where runners call: host and port. */
  readonly listen: { readonly host: string; readonly port: number };
}

export function writeFound(folder: SentinelFolder, found: FoundSentinel): void {
  writeWhole(folder.found, `${JSON.stringify(found)}\n`);
}

export function removeFound(folder: SentinelFolder, found: FoundSentinel): void {
  rmSync(found.runtime, { recursive: true, force: true });
  rmSync(folder.found, { force: true });
}

/** The lab's Sentinel if its process lives. */
export function findSentinel(folder: SentinelFolder): FoundSentinel | undefined {
  const found = decode(readIfThere(folder.found));
  return found !== undefined && isAlive(found) ? found : undefined;
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

function decode(text: string | undefined): FoundSentinel | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
  if (!isRecord(value) || !isRecord(value["listen"])) return undefined;
  const { pid, processStart, runtime } = value;
  const { host, port } = value["listen"];
  if (typeof pid !== "number" || typeof processStart !== "string" || typeof runtime !== "string") return undefined;
  if (!Number.isInteger(pid) || pid < 2 || typeof host !== "string" || typeof port !== "number") return undefined;
  return { pid, processStart, runtime, listen: { host, port } };
}
