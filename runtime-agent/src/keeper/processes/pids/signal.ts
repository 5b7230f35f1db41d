import { ProcessError, codeOf, textOf } from "../errors.ts";
import { readSame, readStat } from "./stat.ts";
import type { ProcessId } from "./stat.ts";

export type SignalName = "SIGSTOP" | "SIGCONT" | "SIGTERM" | "SIGKILL";

/** Sends a signal to exactly that process. False when it has gone; it never reaches another one of the same number. */
export type SendSignal = (id: ProcessId, signal: SignalName) => boolean;

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
 * By kill(2), after looking at the start time. Between the look and the signal lie microseconds in which the process
 * would have to end and its number go all the way round.
 */
export const sendByKill: SendSignal = (id, signal) => {
  if (readSame(id) === undefined) return false;
  try {
    process.kill(id.pid, signal);
    return true;
  } catch (error) {
    if (codeOf(error) === "ESRCH") return false;
    throw new ProcessError("failed", `${signal} to ${String(id.pid)}: ${textOf(error)}`, { cause: error });
  }
};

const signalNumbers: Readonly<Record<SignalName, number>> = { SIGKILL: 9, SIGTERM: 15, SIGCONT: 18, SIGSTOP: 19 };
/** Numbers of the system calls; the same on x86-64 and arm64. */
const sysPidfdSendSignal = 424;
const sysPidfdOpen = 434;
const ESRCH = 3;

/**
 * By pidfd (Linux 5.3): the descriptor is opened, then the start time is looked at, then the signal goes to the
 * descriptor, so not even a number in use again can be hit. Loads koffi, which costs about 9 MiB of resident memory.
 * @throws ProcessError `unsupported` when koffi or the system call is missing; use `sendByKill` then
 */
export async function openPidfdSender(): Promise<SendSignal> {
  const { default: koffi } = await import("koffi");
  const { closeSync } = await import("node:fs");
  const call: (number: number, a: number, b: number, c: number, d: number) => number = koffi
    .load(null)
    .func("long syscall(long, long, long, long, long)");
  const fail = (what: string): never => {
    throw new ProcessError("unsupported", `${what}: errno ${String(koffi.errno())}`);
  };
  const open = (pid: number): number | undefined => {
    const descriptor = call(sysPidfdOpen, pid, 0, 0, 0);
    if (descriptor >= 0) return descriptor;
    return koffi.errno() === ESRCH ? undefined : fail(`pidfd_open ${String(pid)}`);
  };
  const own = open(process.pid);
  if (own !== undefined) closeSync(own);
  return (id, signal) => {
    const descriptor = open(id.pid);
    if (descriptor === undefined) return false;
    try {
      if (readSame(id) === undefined) return false;
      if (call(sysPidfdSendSignal, descriptor, signalNumbers[signal], 0, 0) === 0) return true;
      return koffi.errno() === ESRCH ? false : fail(`${signal} to ${String(id.pid)}`);
    } finally {
      closeSync(descriptor);
    }
  };
}
