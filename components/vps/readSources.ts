import { constants } from "node:fs";
import { lstat, open, opendir } from "node:fs/promises";
import { join } from "node:path";
import { isLeftOut, mostSources, type SourceEntry } from "../shared/vps/pack.ts";

/** A file that was looked at, and not read. */
interface Found {
  readonly path: string;
  readonly bytes: number;
}

/**
 * Reads a file of a size that is known, and not a byte more: what grows meanwhile, or has no size at all such as a file
 * of /proc, could else be without end.
 */
async function readFile(folder: string, { path, bytes }: Found): Promise<SourceEntry> {
  // Should it have become a link or a pipe: neither followed nor waited for.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  await using handle = await open(join(folder, path), flags);
  const stat = await handle.stat();
  if (!stat.isFile() || stat.size !== bytes) return { path, kind: "changing" };
  const room = Buffer.allocUnsafe(bytes + 1);
  let length = 0;
  for (let read = 1; read > 0 && length < room.length; length += read)
    ({ bytesRead: read } = await handle.read(room, length, room.length - length));
  if (length !== bytes) return { path, kind: "changing" };
  return { path, kind: "file", executable: (stat.mode & 0o100) !== 0, content: room.subarray(0, bytes) };
}

/** As `readFile`; a file that went away meanwhile, or became a link, is one that changes. */
async function readFound(folder: string, found: Found): Promise<SourceEntry> {
  try {
    return await readFile(folder, found);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ELOOP" || code === "ENXIO") return { path: found.path, kind: "changing" };
    throw error;
  }
}

/**
 * Everything in an agent's folder that can belong to its sources, for `packSources`. Links are told and not followed.
 * Where there are more files or bytes than sources may have, none is read: they are told as `unread`, and the look ends
 * soon after the limit. So a wrong folder, such as a home or a disk, costs neither its size in memory nor much time.
 * @param most Files (and folders, each counted by itself), and bytes of all files together. @default those of `packSources`
 * @throws when the folder, or a file in it, cannot be read.
 */
export async function readSources(folder: string, most = mostSources): Promise<readonly SourceEntry[]> {
  const entries: SourceEntry[] = [];
  const files: Found[] = [];
  const folders = [""];
  let bytes = 0;
  const full = (): boolean => entries.length + files.length > most.files || folders.length > most.files;
  // The list grows while it is gone through.
  for (const below of folders) {
    if (full()) break;
    for await (const entry of await opendir(join(folder, below))) {
      if (full()) break;
      const path = below === "" ? entry.name : `${below}/${entry.name}`;
      if (isLeftOut(path)) continue;
      if (entry.isSymbolicLink()) entries.push({ path, kind: "link" });
      else if (entry.isDirectory()) folders.push(path);
      else if (!entry.isFile()) entries.push({ path, kind: "other" });
      else {
        const { size } = await lstat(join(folder, path));
        bytes += size;
        files.push({ path, bytes: size });
      }
    }
  }
  if (full() || bytes > most.bytes) {
    const unread = [...files, ...folders.slice(1).map((path) => ({ path, bytes: 0 }))];
    return [...entries, ...unread.map((found) => ({ ...found, kind: "unread" as const }))];
  }
  for (const found of files) entries.push(await readFound(folder, found));
  return entries;
}
