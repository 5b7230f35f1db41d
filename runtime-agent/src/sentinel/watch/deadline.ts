/** Words of a deadline that passed. */
export function withinWords(deadlineMs: number): string {
  return `no answer within ${String(deadlineMs / 1000)} s`;
}

/**
 * Calls back once, when the time is over or this process is to end.
 * @returns calls it off
 */
export function onDeadline(deadlineMs: number, stop: AbortSignal | undefined, over: (why: string) => void): () => void {
  const stopped = (): void => end("stopped");
  const timer = setTimeout(() => end(withinWords(deadlineMs)), deadlineMs);
  const callOff = (): void => {
    clearTimeout(timer);
    stop?.removeEventListener("abort", stopped);
  };
  function end(why: string): void {
    callOff();
    over(why);
  }
  if (stop?.aborted === true) queueMicrotask(stopped);
  else stop?.addEventListener("abort", stopped, { once: true });
  return callOff;
}
