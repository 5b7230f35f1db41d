import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { isLeftOut, type SourceEntry } from "../shared/vps/pack.ts";

/**
 * Everything in an agent's folder that can belong to its sources, for `packSources`. Links are told and not followed.
 * @throws when the folder cannot be read.
 */
export async function readSources(folder: string): Promise<readonly SourceEntry[]> {
  const entries: SourceEntry[] = [];
  const read = async (below: string): Promise<void> => {
    for (const entry of await readdir(join(folder, below), { withFileTypes: true })) {
      const path = below === "" ? entry.name : `${below}/${entry.name}`;
      if (isLeftOut(path)) continue;
      if (entry.isSymbolicLink()) entries.push({ path, kind: "link" });
      else if (entry.isDirectory()) await read(path);
      else if (!entry.isFile()) entries.push({ path, kind: "other" });
      else {
        const file = join(folder, path);
        const executable = ((await stat(file)).mode & 0o100) !== 0;
        entries.push({ path, kind: "file", executable, content: await readFile(file) });
      }
    }
  };
  await read("");
  return entries;
}
