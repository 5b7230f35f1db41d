import { say } from "../output/terminal.ts";

export interface Interrupts {
  /** The first Ctrl-C (or SIGTERM): stop in good order. */
  readonly cancel: AbortSignal;
  /** The second: kill. */
  readonly kill: AbortSignal;
}

/**
 * Runs work under these rules: the first Ctrl-C or SIGTERM asks the engine to finish what it has begun and stop, the second
 * kills it. What is left then is for the next `hive up` to repair.
 */
export async function withInterrupts<T>(work: (interrupts: Interrupts) => Promise<T>): Promise<T> {
  const cancel = new AbortController();
  const kill = new AbortController();
  const onSignal = (): void => {
    if (!cancel.signal.aborted) {
      say("Stopping: the engine finishes the operations it has begun. Ctrl-C again kills it.");
      cancel.abort();
    } else if (!kill.signal.aborted) {
      say("Killed. The next `hive up` repairs what is left.");
      kill.abort();
    }
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, onSignal);
  try {
    return await work({ cancel: cancel.signal, kill: kill.signal });
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, onSignal);
  }
}
