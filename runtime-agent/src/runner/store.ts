/** The runner's memory on disk: the journal's lines, read back with the same suspicion as anything from outside. */
import type { Journal } from "../shared/journal/index.ts";
import { applyChange, change, emptyState, type RunnerState } from "./core/state.ts";

export interface Recovered {
  readonly state: RunnerState;
  /** Lines that could not be believed. */
  readonly corrupt: number;
}

/** The state that a journal holds. */
export async function recover(journal: Pick<Journal, "entries">): Promise<Recovered> {
  const state = emptyState();
  let corrupt = 0;
  for await (const entry of journal.entries()) {
    const parsed = entry.kind === "entry" ? change.safeParse(entry.value, { jitless: true }) : undefined;
    if (parsed?.success === true) applyChange(state, parsed.data);
    else corrupt += 1;
  }
  return { state, corrupt };
}
