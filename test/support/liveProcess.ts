import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { readStat } from "../../runtime-agent/src/keeper/processes/pids/stat.ts";
import type { ProcessStat } from "../../runtime-agent/src/keeper/processes/pids/stat.ts";

/** Hang guard of one step, ms. */
export const longMs = 30_000;

/** What /proc says of a process that must be there. */
export function statOf(pid: number): ProcessStat {
  const stat = readStat(pid);
  assert.ok(stat !== undefined, `process ${String(pid)} lives`);
  return stat;
}

/** Runs a script in a shell of its own. Whatever a test that fails leaves of it ends with this process. */
export function shell(script: string): ChildProcess & { readonly pid: number } {
  const child = spawn("sh", ["-c", script], { stdio: "ignore", detached: true });
  const { pid } = child;
  assert.ok(pid !== undefined);
  process.once("exit", () => {
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // Its group is gone.
    }
  });
  return Object.assign(child, { pid });
}

/** Looks until it is so, or fails saying what was awaited. */
export async function awaitTrue(is: () => boolean, what: string): Promise<void> {
  for (const until = performance.now() + longMs; !is(); await sleep(5)) assert.ok(performance.now() < until, what);
}
