/** Time that moves only when it is told to, for code that takes it from a clock and for code that takes it from timers. */

interface Timer {
  readonly dueMs: number;
  readonly fire: () => void;
}

/** Longest delay of a timer, ms. */
const neverMs = 2 ** 31 - 1;

export class ManualTime {
  /** Unix time, ms, without the jumps of anybody's wall clock. */
  nowMs: number;
  #timers = new Map<object, Timer>();

  constructor(startMs: number) {
    this.nowMs = startMs;
  }

  /** When the earliest timer is due, ms; infinity when there is none. */
  get nextMs(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const { dueMs } of this.#timers.values()) earliest = Math.min(earliest, dueMs);
    return earliest;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#timers.set({}, { dueMs: this.nowMs + ms, fire: resolve }));
  }

  /** Fires the timers that are due, the earliest first; false when none is. */
  fireDue(): boolean {
    const due = [...this.#timers].filter(([, { dueMs }]) => dueMs <= this.nowMs);
    for (const [key, { fire }] of due.toSorted(([, a], [, b]) => a.dueMs - b.dueMs)) {
      if (this.#timers.delete(key)) fire();
    }
    return due.length > 0;
  }

  /** Forgets every timer, as a killed process does. */
  drop(): void {
    this.#timers.clear();
  }

  /** Puts this time in the place of `setTimeout`, `clearTimeout` and `performance.now` while `work` runs. */
  async rule<T>(work: () => Promise<T>): Promise<T> {
    const { setTimeout: realSet, clearTimeout: realClear } = globalThis;
    const startMs = this.nowMs;
    const set = (fire: (...words: unknown[]) => void, ms = 0, ...words: unknown[]): NodeJS.Timeout => {
      const handle = realSet(() => undefined, neverMs).unref();
      this.#timers.set(handle, {
        dueMs: this.nowMs + Math.max(1, ms),
        fire: () => {
          realClear(handle);
          fire(...words);
        },
      });
      return handle;
    };
    const clear = (handle: NodeJS.Timeout | undefined): void => {
      if (handle !== undefined) this.#timers.delete(handle);
      realClear(handle);
    };
    const put = (name: string, value: unknown): void => {
      Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: true });
    };
    put("setTimeout", set);
    put("clearTimeout", clear);
    Object.defineProperty(performance, "now", { value: () => this.nowMs - startMs, configurable: true });
    try {
      return await work();
    } finally {
      put("setTimeout", realSet);
      put("clearTimeout", realClear);
      Reflect.deleteProperty(performance, "now");
    }
  }
}
