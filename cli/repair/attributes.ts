import { type Stats, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { progress } from "../output/terminal.ts";

/** A writer that lives is done with such a file in milliseconds: one that rests this long has lost its writer. */
const restMs = 2_000;

/**
 * Removes the empty attribute files of a `file://` backend, and the parts of files that were never put in place.
 *
 * The engine's store (gocloud.dev `fileblob`) writes `NAME.attrs` beside each file by creating it empty first: a writer
 * that is killed in between leaves an attribute file in which every later reading ends ("failed to load checkpoint:
 * EOF"). A file without one is read as it is. Another engine may be writing at this very moment, its lock among the
 * rest: what changes within `restMs` is left alone.
 * @returns the paths removed
 */
export async function mendAttributes(backendFolder: string): Promise<string[]> {
  const folder = join(backendFolder, ".pulumi");
  const before = halfMade(folder);
  if (before.size === 0) return [];
  await sleep(restMs);
  const after = halfMade(folder);
  return [...before].flatMap(([file, seen]) => {
    const now = after.get(file);
    if (now?.ino !== seen.ino || now.mtimeMs !== seen.mtimeMs || now.size !== seen.size) return [];
    rmSync(file, { force: true });
    return [file];
  });
}

/** Mends, and tells what it did, a line each. */
export async function tellMended(backendFolder: string): Promise<string[]> {
  const lines = (await mendAttributes(backendFolder)).map(
    (file) => `removed ${file}, which a killed writer left half-made`,
  );
  for (const line of lines) progress(`repair: ${line}`);
  return lines;
}

function halfMade(folder: string): Map<string, Stats> {
  const found = new Map<string, Stats>();
  let names: string[] = [];
  try {
    names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  } catch {
    // No backend yet.
  }
  for (const name of names) {
    const isPart = /\.[0-9a-f]{8,}\.tmp$/.test(name);
    if (!isPart && !name.endsWith(".attrs")) continue;
    const file = join(folder, name);
    const stats = statSync(file, { throwIfNoEntry: false });
    if (stats?.isFile() === true && (isPart || stats.size === 0)) found.set(file, stats);
  }
  return found;
}
