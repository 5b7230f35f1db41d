/** A slow look at something, kept fresh in the background: the loop reads the newest and never waits for it. */
import type { Clock } from "../../shared/clock.ts";

export interface Watch<T> {
  /** The newest value, unless it is older than it may be. */
  value(): T | undefined;
  /** Looks now if no look is under way and the last one is `everyMs` old. */
  refresh(everyMs: number): void;
  /** Forgets what was seen, so that nobody decides on what an action has just changed. */
  forget(): void;
  /** Ends when no look is under way. */
  settled(): Promise<void>;
}

/** `look` must end by itself; an error counts as seeing nothing. */
export function createWatch<T>(options: {
  readonly look: () => Promise<T>;
  readonly clock: Pick<Clock, "monotonicMs">;
  /** After this a value is not believed any more, ms. */
  readonly staleMs: () => number;
  readonly onError: (error: unknown) => void;
}): Watch<T> {
  const { clock } = options;
  let seen: { readonly value: T; readonly atMs: number } | undefined;
  let startedMs = Number.NEGATIVE_INFINITY;
  let running: Promise<void> | undefined;
  let generation = 0;
  const look = async (): Promise<void> => {
    const mine = generation;
    const atMs = clock.monotonicMs();
    startedMs = atMs;
    try {
      const value = await options.look();
      // What was seen is as old as when the look began, and void when something was changed meanwhile.
      if (mine === generation) seen = { value, atMs };
    } catch (error) {
      options.onError(error);
    }
    running = undefined;
  };
  return {
    value: () => (seen !== undefined && clock.monotonicMs() - seen.atMs <= options.staleMs() ? seen.value : undefined),
    refresh(everyMs) {
      if (running === undefined && clock.monotonicMs() - startedMs >= everyMs) running = look();
    },
    forget() {
      generation += 1;
      seen = undefined;
      startedMs = Number.NEGATIVE_INFINITY;
    },
    settled: () => running ?? Promise.resolve(),
  };
}
