import { randomBytes } from "node:crypto";
import { open, readFile, rename, unlink } from "node:fs/promises";
import path from "node:path";
import { failpoint } from "./failpoints.ts";

/** Makes the entries of a folder (creations, renames) survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Replaces a file in one step: after a crash it holds the old text or the new one, never a part. Written beside it,
 * fsynced, renamed, and the folder fsynced.
 * @param mode its permissions, whatever the umask is
 */
export async function writeFileAtomically(file: string, text: string, mode = 0o600): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString("hex")}.tmp`;
  const handle = await open(temporary, "wx", mode);
  try {
    try {
      await handle.chmod(mode);
      await handle.writeFile(text);
      await failpoint("state.before-fsync");
      await handle.sync();
    } finally {
      await handle.close();
    }
    await failpoint("state.before-rename");
    await rename(temporary, file);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
  await syncFolder(path.dirname(file));
}

/** The text of a file, or undefined when there is none. Other errors (permissions, I/O) are thrown. */
export async function readFileIfPresent(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
