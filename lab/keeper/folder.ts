// Where the lab's Keeper keeps its things, and keeper.json: how others find it while its process lives.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRecord, privateFolder, readJsonObject, writeFileAtomic } from "../host/files.ts";
import { processStart } from "../host/lab-file.ts";

/** All of it lies below `<lab state>/keeper`, 0700. */
export interface KeeperFolder {
  readonly root: string;
  readonly config: string;
  readonly state: string;
  readonly log: string;
  /** Its output: one JSON line an event. */
  readonly output: string;
  /** The fake GPU: libraries and state. */
  readonly gpu: string;
  /** Pid files of the services. */
  readonly services: string;
  readonly evaToken: string;
  /** What the page shows of the evening that is played. */
  readonly evening: string;
  /** The clock of that evening. */
  readonly clock: string;
  /** The load of that evening. */
  readonly load: string;
  readonly found: string;
}

/** Paths only; nothing is made. */
export function keeperFolder(labStateDir: string): KeeperFolder {
  const root = join(labStateDir, "keeper");
  return {
    root,
    config: join(root, "keeper.yaml"),
    state: join(root, "state"),
    log: join(root, "log"),
    output: join(root, "keeper.log"),
    gpu: join(root, "gpu"),
    services: join(root, "services"),
    evaToken: join(root, "eva.token"),
    evening: join(root, "evening.json"),
    clock: join(root, "clock"),
    load: join(root, "loadavg"),
    found: join(root, "keeper.json"),
  };
}

export function makeKeeperFolder(folder: KeeperFolder): void {
  for (const path of [folder.root, folder.state, folder.log, folder.gpu, folder.services]) privateFolder(path);
}

/** A Unix socket's path has at most 107 bytes, and `api.sock` stands in this folder. */
const longestFolderBytes = 107 - "/api.sock".length;

/** The folder of socket and token: below the lab's own where its path is short enough, else a private one in /tmp. */
export function runtimeFolder(
  folder: KeeperFolder,
  name: string,
): { readonly path: string; readonly remove: () => void } {
  const usual = join(folder.root, name);
  if (Buffer.byteLength(usual) <= longestFolderBytes) {
    return { path: privateFolder(usual), remove: () => rmSync(usual, { recursive: true, force: true }) };
  }
  const path = mkdtempSync(join(tmpdir(), "hive-keeper-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A process that cannot be mistaken for another: see `processStart`. */
export interface Identity {
  readonly pid: number;
  readonly processStart: string;
}

/** What keeper.json says: the arbiter, or the side that was started last. */
export interface FoundKeeper extends Identity {
  /** All of its processes. */
  readonly sides: readonly Identity[];
  /** The command that runs it, and stops it when it ends. */
  readonly owner: Identity;
  /** Folder of `api.sock` and `api.token`. */
  readonly runtime: string;
}

export function identityOf(pid: number): Identity {
  return { pid, processStart: processStart(pid) ?? "" };
}

export function isAlive({ pid, processStart: start }: Identity): boolean {
  return start !== "" && processStart(pid) === start;
}

export function writeFound(folder: KeeperFolder, found: FoundKeeper): void {
  writeFileAtomic(folder.found, `${JSON.stringify(found, null, 1)}\n`);
}

export function removeFound(folder: KeeperFolder): void {
  rmSync(folder.found, { force: true });
}

/** The Keeper of this lab if one of its processes lives. */
export function findKeeper(folder: KeeperFolder): FoundKeeper | undefined {
  const value = readJsonObject(folder.found);
  const [own, owner] = [identity(value), identity(value?.["owner"])];
  const { runtime, sides } = value ?? {};
  if (own === undefined || owner === undefined || typeof runtime !== "string" || !Array.isArray(sides))
    return undefined;
  const known = sides.map(identity).filter((side) => side !== undefined);
  return [own, ...known].some(isAlive) ? { ...own, owner, runtime, sides: known } : undefined;
}

function identity(value: unknown): Identity | undefined {
  if (!isRecord(value)) return undefined;
  const { pid, processStart: start } = value;
  return typeof pid === "number" && Number.isInteger(pid) && pid > 1 && typeof start === "string"
    ? { pid, processStart: start }
    : undefined;
}
