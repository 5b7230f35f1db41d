/** Payloads and reports: short ones stay in the state, longer ones are files of their own, so that memory stays small. */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, unlink } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomically } from "../shared/stateFile.ts";
import type { Body } from "./core/types.ts";

/** Longest text that the state holds itself, bytes. */
const inlineBytes = 1024;

export interface Bodies {
  /** Keeps a text, under this run's name when it is long. Ends when it is on the disk. */
  put(runId: string, json: string): Promise<Body>;
  /** The text; undefined when its file is gone. */
  get(body: Body): Promise<string | undefined>;
  drop(body: Body | undefined): Promise<void>;
  /** Deletes the files that nobody names, as a crash leaves them. */
  keepOnly(bodies: Iterable<Body>): Promise<void>;
}

export async function openBodies(folder: string): Promise<Bodies> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const remove = (file: string): Promise<void> => unlink(join(folder, file)).catch(() => undefined);
  return {
    async put(runId, json) {
      const bytes = Buffer.byteLength(json);
      if (bytes <= inlineBytes) return { bytes, json };
      // By its content, too: another report of the same run does not take the first one's place.
      const file = `${runId}.${createHash("sha256").update(json).digest("hex").slice(0, 16)}.json`;
      await writeFileAtomically(join(folder, file), json);
      return { bytes, file };
    },
    async get(body) {
      return "json" in body ? body.json : readFile(join(folder, body.file), "utf8").catch(() => undefined);
    },
    async drop(body) {
      if (body !== undefined && "file" in body) await remove(body.file);
    },
    async keepOnly(bodies) {
      const named = new Set<string>();
      for (const body of bodies) if ("file" in body) named.add(body.file);
      for (const file of await readdir(folder)) if (!named.has(file)) await remove(file);
    },
  };
}
