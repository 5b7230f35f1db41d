// The cache of built and downloaded tools. An artifact is a folder named after its recipe's key; it appears there
// whole or not at all, and every use checks its files against the hashes recorded when it was made.
import { closeSync, fsyncSync, openSync } from "node:fs";
import { mkdir, readFile, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { endLeftover } from "../bin/leftover.mjs";
import { acquireLock, processStart } from "../bin/lock.mjs";
import { fileHash, filesBelow } from "./hashing.ts";

export type Progress = (line: string) => void;

export interface BuildContext {
  /** Folder to fill, empty but for its `bin`, where the executables go; it becomes the artifact. */
  readonly folder: string;
  /** For `run`: lets the next start end what a kill leaves running. */
  readonly childFile: string;
  readonly progress: Progress;
  readonly signal: AbortSignal | undefined;
}

export interface Recipe {
  readonly name: string;
  /** Hash of everything that the result depends on. */
  readonly key: string;
  readonly version: string;
  readonly build: (context: BuildContext) => Promise<void>;
}

interface Manifest {
  readonly name: string;
  readonly key: string;
  readonly version: string;
  readonly files: Readonly<Record<string, { readonly sha256: string; readonly bytes: number }>>;
}

const manifestName = "manifest.json";

export interface ArtifactOptions {
  readonly cache: string;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

function folderOf(cache: string, recipe: Pick<Recipe, "name" | "key">): string {
  return join(cache, "artifacts", `${recipe.name}-${recipe.key}`);
}

/** What is wrong with the artifact in `folder`; undefined when it is whole, "absent" when there is none. */
export async function artifactFault(folder: string): Promise<string | undefined> {
  let manifest: Manifest;
  try {
    manifest = JSON.parse(await readFile(join(folder, manifestName), "utf8")) as Manifest;
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    return missing ? "absent" : "its manifest cannot be read";
  }
  const names = Object.keys(manifest.files ?? {});
  if (names.length === 0) return "its manifest names no file";
  for (const name of names) {
    const recorded = manifest.files[name];
    const file = join(folder, name);
    try {
      if ((await stat(file)).size !== recorded?.bytes) return `${name} has another size than recorded`;
      if ((await fileHash(file)) !== recorded.sha256) return `${name} has another sha256 than recorded`;
    } catch {
      return `${name} is missing`;
    }
  }
  return undefined;
}

/** Files and folders reach the disk before their name says that they are there. */
function flush(path: string): void {
  const handle = openSync(path, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

async function seal(folder: string, recipe: Recipe): Promise<void> {
  const files: Record<string, { sha256: string; bytes: number }> = {};
  for (const name of await filesBelow(folder)) {
    const file = join(folder, name);
    flush(file);
    files[name] = { sha256: await fileHash(file), bytes: (await stat(file)).size };
  }
  if (Object.keys(files).length === 0) throw new Error(`${recipe.name}: the recipe made no file`);
  const manifest: Manifest = { name: recipe.name, key: recipe.key, version: recipe.version, files };
  await writeFile(join(folder, manifestName), `${JSON.stringify(manifest, null, 2)}\n`);
  flush(join(folder, manifestName));
  flush(folder);
}

/** Removes what killed runs left half-made: drafts are `<name>.<pid>.<start>` with a note of the child beside them. */
async function removeLeftovers(drafts: string, name: string, progress: Progress): Promise<void> {
  for (const entry of await readdir(drafts)) {
    if (!entry.startsWith(`${name}.`)) continue;
    if (entry.endsWith(".child.json")) {
      const pid = endLeftover(join(drafts, entry));
      if (pid !== undefined) progress(`${name}: ended process ${pid}, which an interrupted run had left`);
    } else await rm(join(drafts, entry), { recursive: true, force: true });
  }
}

/** Days after which an artifact that nobody asked for, and that a newer one of its name replaces, is removed. */
const unusedDays = 30;

/** The folder's time says when somebody last asked for it. */
async function noteUse(folder: string): Promise<void> {
  const now = new Date();
  // A cache that may only be read is as good.
  await utimes(folder, now, now).catch(() => undefined);
}

/** Removes what older checkouts made of the same name: other checkouts of today still find theirs. */
async function prune(artifacts: string, { name }: Recipe, kept: string, progress: Progress): Promise<void> {
  const since = Date.now() - unusedDays * 86_400_000;
  for (const entry of await readdir(artifacts)) {
    const folder = join(artifacts, entry);
    // A key holds no "-": what follows is not another name that begins alike.
    if (folder === kept || !entry.startsWith(`${name}-`) || entry.slice(name.length + 1).includes("-")) continue;
    if ((await stat(folder)).mtimeMs > since) continue;
    progress(`${name}: removing ${entry}, which nobody has used for ${unusedDays} days`);
    await rm(folder, { recursive: true, force: true });
  }
}

/** The folder of the recipe's artifact if it is in the cache and whole, without building anything. */
export async function cachedArtifact(recipe: Recipe, options: ArtifactOptions): Promise<string | undefined> {
  const folder = folderOf(options.cache, recipe);
  if ((await artifactFault(folder)) !== undefined) return undefined;
  await noteUse(folder);
  return folder;
}

/**
 * The folder of the recipe's artifact, built first when it is absent or damaged. Two processes that need the same
 * one wait for each other; a run that was killed leaves nothing that the next one believes in.
 */
export async function ensureArtifact(recipe: Recipe, options: ArtifactOptions): Promise<string> {
  const { cache, progress, signal } = options;
  const folder = folderOf(cache, recipe);
  const cached = await cachedArtifact(recipe, options);
  if (cached !== undefined) return cached;
  const release = await acquireLock(join(cache, "locks", recipe.name), {
    signal,
    onWait: (holder) => progress(`${recipe.name}: waiting for process ${holder.pid}, which is making it`),
  });
  try {
    const fault = await artifactFault(folder);
    if (fault === undefined) return folder;
    if (fault !== "absent") progress(`${recipe.name}: making it again, because ${fault}`);
    const drafts = join(cache, "drafts");
    await mkdir(drafts, { recursive: true, mode: 0o700 });
    await removeLeftovers(drafts, recipe.name, progress);
    const started = (processStart(process.pid) ?? "").replace(/[^0-9]/g, "").slice(-12);
    const draft = join(drafts, `${recipe.name}.${process.pid}.${started}`);
    await mkdir(join(draft, "bin"), { recursive: true, mode: 0o755 });
    try {
      await recipe.build({ folder: draft, childFile: `${draft}.child.json`, progress, signal });
      await seal(draft, recipe);
      await mkdir(join(cache, "artifacts"), { recursive: true, mode: 0o700 });
      await rm(folder, { recursive: true, force: true });
      await rename(draft, folder);
      flush(join(cache, "artifacts"));
      await prune(join(cache, "artifacts"), recipe, folder, progress);
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
    return folder;
  } finally {
    release();
  }
}
