import { ProcessError, codeOf, textOf } from "../errors.ts";
import { readSame, readStat } from "./stat.ts";
import type { ProcessId } from "./stat.ts";

export type SignalName = "SIGSTOP" | "SIGCONT" | "SIGTERM" | "SIGKILL";

/** Processes that no rung may touch: 1, the Keeper, those that started it, and the kernel's own threads. */
export function assertMayTouch(id: ProcessId): void {
  const refuse = (why: string): never => {
    throw new ProcessError("refused", `process ${String(id.pid)} is not touched: ${why}`);
  };
  if (id.pid <= 1) refuse("it is the first process");
  for (let pid = process.pid; pid > 1;) {
    if (pid === id.pid) refuse("it is the Keeper or started it");
    pid = readStat(pid)?.parent ?? 0;
  }
  const stat = readSame(id);
  if (stat !== undefined && (stat.pid === 2 || stat.parent === 2)) refuse("it is a thread of the kernel");
}

/**
 * Sends a signal to exactly that process; false when it has gone. By kill(2), after looking at the start time: between
 * the look and the signal lie microseconds in which the process would have to end and its number go all the way round.
 * A pidfd would close that gap, and Node has none: through koffi it costs 9 MiB of the agent's memory.
 */
export function sendSignal(id: ProcessId, signal: SignalName): boolean {
  if (readSame(id) === undefined) return false;
  try {
    process.kill(id.pid, signal);
    return true;
  } catch (error) {
    if (codeOf(error) === "ESRCH") return false;
    throw new ProcessError("failed", `${signal} to ${String(id.pid)}: ${textOf(error)}`, { cause: error });
  }
}
