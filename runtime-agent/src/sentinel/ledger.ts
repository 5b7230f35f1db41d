/**
 * The journal as the loop needs it: lines land in the order they were decided, and nothing of them is let out before they
 * are on the disk. A write that fails (full disk) is tried again until it succeeds; meanwhile the ledger says so.
 */
import type { Clock } from "../shared/clock.ts";
import { failpoint } from "../shared/failpoints.ts";
import type { Journal } from "../shared/journal/index.ts";
import type { Line } from "./core/types.ts";

const againMs = 1000;

export interface Ledger {
  /** Ends when these lines, and all before them, are on the disk. */
  put(lines: readonly Line[]): Promise<void>;
  /** Why nothing can be written now. */
  fault(): string | undefined;
}

interface Waiting {
  readonly lines: readonly Line[];
  readonly resolve: () => void;
}

/** `stop` ends the tries; who waits then waits for ever. */
export function createLedger(
  journal: Pick<Journal, "append">,
  clock: Clock,
  stop: AbortSignal,
  onFault: (reason: string) => void,
): Ledger {
  let queue: Waiting[] = [];
  let writing = false;
  let fault: string | undefined;

  async function drain(): Promise<void> {
    while (queue.length > 0 && !stop.aborted) {
      const batch = queue;
      try {
        await failpoint("sentinel.before-journal");
        await journal.append(batch.flatMap(({ lines }) => lines));
        await failpoint("sentinel.after-journal");
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        if (fault === undefined) onFault(reason);
        fault = reason;
        await clock.sleep(againMs, stop);
        continue;
      }
      fault = undefined;
      queue = queue.slice(batch.length);
      for (const { resolve } of batch) resolve();
    }
    writing = false;
  }

  return {
    put(lines) {
      if (lines.length === 0 && queue.length === 0) return Promise.resolve();
      return new Promise((resolve) => {
        queue = [...queue, { lines, resolve }];
        if (writing) return;
        writing = true;
        void drain();
      });
    },
    fault: () => fault,
  };
}
