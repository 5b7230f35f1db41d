import { randomBytes } from "node:crypto";
import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { projectRoot } from "../setup/paths.ts";

/** Where a target keeps what it must remember; nothing of it is tracked by git. */
export interface StateFolder {
  readonly root: string;
  /** The lab's own state. */
  readonly lab: string;
  /** Folder of the `file://` backend. */
  readonly backend: string;
  readonly passphraseFile: string;
  /** Working folder of the engine: project and stack settings. */
  readonly project: string;
  /** Home folder of the engine and its providers. */
  readonly home: string;
  /** Settings of stacks that no tracked file has: those of agents. */
  readonly stacks: string;
}

/** The lab's folders: `HIVE_STATE_DIR`, else `.hive/lab` in the project. Nothing is created. */
export function labStateFolder(env: Readonly<Record<string, string | undefined>> = process.env): StateFolder {
  const root = resolve(env["HIVE_STATE_DIR"] || join(projectRoot, ".hive", "lab"));
  return {
    root,
    lab: join(root, "host"),
    backend: join(root, "backend"),
    passphraseFile: join(root, "passphrase"),
    project: join(root, "project"),
    home: join(root, "home"),
    stacks: join(root, "stacks"),
  };
}

/** Writes a file whole or not at all: draft, fsync, rename. */
export function writeWhole(file: string, content: string, mode = 0o600): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${String(process.pid)}.${randomBytes(4).toString("hex")}`;
  const handle = openSync(draft, "wx", mode);
  try {
    writeSync(handle, content);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(draft, file);
}

/** The text of a file, `undefined` when there is none. */
export function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
      return undefined;
    throw error;
  }
}

/** Makes the folders and the passphrase (256 random bits), once. */
export function prepareStateFolder(folder: StateFolder): void {
  for (const path of [folder.root, folder.lab, folder.backend, folder.project, folder.home, folder.stacks]) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chmodSync(path, 0o700);
  }
  if (readIfThere(folder.passphraseFile) === undefined)
    writeWhole(folder.passphraseFile, randomBytes(32).toString("base64url"));
}
