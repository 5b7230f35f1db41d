// Content hashes of files and folders.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { pipeline } from "node:stream/promises";

/** The sha256 of a file's content, in hexadecimal. */
export async function fileHash(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex");
}

/** Every regular file below `folder`, as sorted paths relative to it with `/` between the parts. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .sort();
}

/** Counts up when artifacts are laid out another way: what an older version cached is then not looked at. */
const layout = "2";

/** A key for the content of everything below `folder` and the words in `also`: any change gives another key. */
export async function recipeKey(folder: string | undefined, also: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([layout, ...also]));
  if (folder !== undefined) {
    for (const file of await filesBelow(folder)) {
      const content = await readFile(join(folder, file));
      hash.update(JSON.stringify([file, content.length])).update(content);
    }
  }
  return hash.digest("hex").slice(0, 16);
}
