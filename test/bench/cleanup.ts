/** What must be undone however a benchmark ends: labs that outlive their starter, folders, running programs. */
const pending = new Set<() => void>();

/** Registers an undo for the case of a signal; the returned function takes it out again without running it. */
export function undoOnSignal(undo: () => void): () => void {
  pending.add(undo);
  return () => pending.delete(undo);
}

export function installSignalHandlers(): void {
  for (const [signal, status] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)
    process.once(signal, () => {
      for (const undo of pending) undo();
      process.exit(status);
    });
}
