/**
 * `hive-agent farewell`: whoever takes this server down has its runner tell the Sentinel. Nothing is deleted here, and
 * nothing waits for it: where it cannot be told, the lease runs out by itself.
 */
import { join } from "node:path";
import type { Writable } from "node:stream";
import { callLocalApi } from "../shared/localApi/index.ts";
import { readFileIfPresent } from "../shared/stateFile.ts";
import { mostFarewellMs } from "./sentinelLink.ts";

export interface FarewellCommandOptions {
  /** The runner's runtime folder. */
  readonly runtime: string;
  readonly output?: Writable;
  readonly errors?: Writable;
}

/** @returns 0 when the Sentinel was told; 1 when it could not be; 75 when no runner answers */
export async function runFarewellCommand(options: FarewellCommandOptions): Promise<number> {
  const { runtime, output = process.stdout, errors = process.stderr } = options;
  try {
    const token = (await readFileIfPresent(join(runtime, "api.token")))?.trim() ?? "";
    const { status, text } = await callLocalApi({
      ...{ socket: join(runtime, "api.sock"), token, method: "POST", path: "/farewell" },
      ...{ body: { reason: "destroyed" }, timeoutMs: mostFarewellMs + 2_000 },
    });
    if (status === 200) output.write("farewell said\n");
    else errors.write(`hive-agent farewell: ${text.trim()}\n`);
    return status === 200 ? 0 : 1;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    errors.write(`hive-agent farewell: no runner answers here: ${reason}\n`);
    return 75;
  }
}
