import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

/**
 * Removes the empty attribute files of a `file://` backend, and the parts of files that were never put in place.
 *
 * The engine's store (gocloud.dev `fileblob`) writes `NAME.attrs` beside each file by creating it empty first: a writer
 * that is killed in between leaves an attribute file in which every later reading ends ("failed to load checkpoint:
 * EOF"). A file without one is read as it is. To be called only while nobody writes.
 * @returns the paths removed
 */
export function mendAttributes(backendFolder: string): string[] {
  const folder = join(backendFolder, ".pulumi");
  let names: string[];
  try {
    names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  } catch {
    return [];
  }
  return names
    .map((name) => join(folder, name))
    .filter((file) => (file.endsWith(".attrs") && isEmpty(file)) || /\.[0-9a-f]{8,}\.tmp$/.test(file))
    .map((file) => {
      rmSync(file, { force: true });
      return file;
    });
}

function isEmpty(file: string): boolean {
  const found = statSync(file, { throwIfNoEntry: false });
  return found?.isFile() === true && found.size === 0;
}
