/**
 * Time as the agent sees it. Durations are measured on the monotonic clock, which no administrator and no NTP step can
 * move; only calendars read the wall clock.
 */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonicMs(): number;
  /** Unix time in milliseconds; may jump either way. */
  wallMs(): number;
  /** Ends after `ms` of monotonic time, or at once (without an error) when the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

const longestTimerMs = 2 ** 31 - 1;

function timer(ms: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(handle);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const handle = setTimeout(end, Math.min(Math.max(0, ms), longestTimerMs));
    signal?.addEventListener("abort", end, { once: true });
  });
}

/** The machine's own clocks. */
export function realClock(): Clock {
  return { monotonicMs: () => performance.now(), wallMs: () => Date.now(), sleep: timer };
}

/**
 * A clock that runs `factor` times as fast as the machine's, from `wallStartMs`: a simulated day in seconds, with
 * nothing else changed.
 */
export function compressedClock(factor: number, wallStartMs: number, base: Clock = realClock()): Clock {
  if (!(factor > 0) || !Number.isFinite(factor)) throw new RangeError(`factor ${String(factor)} must be above 0`);
  const start = base.monotonicMs();
  const elapsed = (): number => (base.monotonicMs() - start) * factor;
  return {
    monotonicMs: elapsed,
    wallMs: () => wallStartMs + elapsed(),
    sleep: (ms, signal) => base.sleep(ms / factor, signal),
  };
}

/** A clock that moves only when told to. */
export interface ManualClock extends Clock {
  /** Moves both clocks on by `ms`, ending the sleeps that come due, in the order of their ends. */
  advance(ms: number): void;
  /** Steps the wall clock alone, as an administrator or NTP would. */
  jumpWall(ms: number): void;
  /** Sleeps that have not ended. */
  readonly sleepers: number;
}

interface Sleeper {
  readonly dueMs: number;
  readonly wake: () => void;
}

/** A manual clock that starts at the given instants, in milliseconds. */
export function manualClock(wallStartMs = 0, monotonicStartMs = 0): ManualClock {
  let monotonic = monotonicStartMs;
  let wall = wallStartMs;
  const sleepers = new Set<Sleeper>();
  return {
    monotonicMs: () => monotonic,
    wallMs: () => wall,
    sleep(ms, signal) {
      if (ms <= 0 || signal?.aborted === true) return Promise.resolve();
      return new Promise((resolve) => {
        const wake = (): void => {
          sleepers.delete(sleeper);
          signal?.removeEventListener("abort", wake);
          resolve();
        };
        const sleeper: Sleeper = { dueMs: monotonic + ms, wake };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", wake, { once: true });
      });
    },
    advance(ms) {
      if (!(ms >= 0)) throw new RangeError("a monotonic clock cannot go back");
      monotonic += ms;
      wall += ms;
      const due = [...sleepers].filter((sleeper) => sleeper.dueMs <= monotonic);
      for (const sleeper of due.toSorted((a, b) => a.dueMs - b.dueMs)) sleeper.wake();
    },
    jumpWall(ms) {
      wall += ms;
    },
    get sleepers() {
      return sleepers.size;
    },
  };
}
