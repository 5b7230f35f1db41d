/** The files between runner and job: payload and run id on the way there, the result on the way back. */
import { constants } from "node:fs";
import { chmod, mkdir, open, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { mostPayloadBytes } from "../../../components/shared/signals/protocol.ts";
import { isShallow } from "../../../components/shared/signals/shallow.ts";
import { writeFileAtomically } from "../shared/stateFile.ts";
import type { ResultSeen } from "./core/decide.ts";

export interface RunFiles {
  /** Writes what the run needs. */
  prepare(runId: string, payload: string): Promise<void>;
  /** What the agent left in place of a result. Never throws. */
  result(runId: string): Promise<ResultSeen>;
}

function absent(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

/** JSON that an agent gave, if it can be handled. */
export function readJson(text: string): ResultSeen {
  try {
    if (!isShallow(text)) return { kind: "bad", reason: "its result is nested too deeply" };
    return { kind: "json", value: z.json().parse(JSON.parse(text)) };
  } catch {
    return { kind: "bad", reason: "its result is not JSON" };
  }
}

/**
 * Reads the result as root from a folder that the agent owns: never through a link, never from anything but a plain
 * file of the folder's own owner, never more than a message holds.
 */
async function readResult(folder: string, file: string): Promise<ResultSeen> {
  // Without O_NONBLOCK a pipe would hold the open() up for ever.
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const [info, owner] = await Promise.all([handle.stat(), stat(folder)]);
    if (!info.isFile() || info.uid !== owner.uid) return { kind: "bad", reason: "its result is not a file of its own" };
    const most = mostPayloadBytes;
    const buffer = Buffer.alloc(most + 1);
    let size = 0;
    for (;;) {
      const { bytesRead } = await handle.read(buffer, size, buffer.length - size, size);
      size += bytesRead;
      if (bytesRead === 0 || size > most) break;
    }
    if (size > most) return { kind: "bad", reason: `its result is above ${String(most)} bytes` };
    return size === 0 ? { kind: "none" } : readJson(buffer.toString("utf8", 0, size));
  } finally {
    await handle.close();
  }
}

/**
 * @param run folder of the payload. Its files can be read by its group, which they get from the folder's setgid bit: the
 * runner may give no file away.
 * @param state folder of the agent
 */
export function runFiles({ run, state }: { readonly run: string; readonly state: string }): RunFiles {
  const payloadFile = join(run, "payload.json");
  // A file for each run: one that cannot be removed is not taken for the next one's.
  const resultOf = (runId: string): string => join(state, `result-${runId}.json`);
  let previous: string | undefined;
  return {
    async prepare(runId, payload) {
      // The runner's umask keeps its own files from its group too; these are the agent's to read.
      if ((await mkdir(run, { recursive: true })) !== undefined) await chmod(run, 0o750);
      // Only to save room, and it may not be allowed: the folder is the agent's.
      const old = new Set([runId, previous ?? runId]);
      for (const one of old) await unlink(resultOf(one)).catch(() => undefined);
      previous = runId;
      await writeFileAtomically(payloadFile, `${payload}\n`, 0o640);
      const environment = [
        `HEAVY_AGENT_RUN_ID=${runId}`,
        `HEAVY_AGENT_PAYLOAD=${payloadFile}`,
        `HEAVY_AGENT_RESULT=${resultOf(runId)}`,
      ];
      await writeFileAtomically(join(run, "run.env"), `${environment.join("\n")}\n`, 0o640);
    },
    async result(runId) {
      try {
        return await readResult(state, resultOf(runId));
      } catch (error) {
        if (absent(error)) return { kind: "none" };
        const code = error instanceof Error && "code" in error ? String(error.code) : "an error";
        return { kind: "bad", reason: `its result cannot be read (${code})` };
      }
    },
  };
}
