/** What clients wait for and were told: the arbiter's word about a lease, as the API hands it out. */

/** What became of a request or a lease. */
export type LeaseNews =
  | { readonly kind: "held"; readonly token: number }
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "ended"; readonly reason: string };

/** Ends that are remembered, so that a client that asks late is told why. */
const mostEnds = 512;

export class Leases {
  readonly #waiters = new Map<string, Set<(news: LeaseNews) => void>>();
  readonly #ends = new Map<string, LeaseNews>();
  #grants = 0;

  /** Grants handed out since the start. */
  get grants(): number {
    return this.#grants;
  }

  granted(lease: string, token: number): void {
    this.#grants += 1;
    this.#ends.delete(lease);
    this.#tell(lease, { kind: "held", token });
  }

  refused(lease: string, reason: string): void {
    this.#remember(lease, { kind: "refused", reason });
  }

  ended(lease: string, reason: string): void {
    this.#remember(lease, { kind: "ended", reason });
  }

  /** How a lease ended, when it did so not long ago. */
  endOf(lease: string): LeaseNews | undefined {
    return this.#ends.get(lease);
  }

  /** Forgets how it ended: its client asks for it again. */
  renewed(lease: string): void {
    this.#ends.delete(lease);
  }

  /** The next news of a lease; undefined when `signal` is aborted first. */
  next(lease: string, signal: AbortSignal): Promise<LeaseNews | undefined> {
    return new Promise((resolve) => {
      const waiters = this.#waiters.get(lease) ?? new Set();
      this.#waiters.set(lease, waiters);
      const end = (news: LeaseNews | undefined): void => {
        waiters.delete(tell);
        if (waiters.size === 0 && this.#waiters.get(lease) === waiters) this.#waiters.delete(lease);
        signal.removeEventListener("abort", stop);
        resolve(news);
      };
      const tell = (news: LeaseNews): void => end(news);
      const stop = (): void => end(undefined);
      waiters.add(tell);
      signal.addEventListener("abort", stop, { once: true });
      if (signal.aborted) stop();
    });
  }

  #remember(lease: string, news: LeaseNews): void {
    this.#ends.delete(lease);
    this.#ends.set(lease, news);
    const oldest = this.#ends.keys().next().value;
    if (this.#ends.size > mostEnds && oldest !== undefined) this.#ends.delete(oldest);
    this.#tell(lease, news);
  }

  #tell(lease: string, news: LeaseNews): void {
    for (const tell of [...(this.#waiters.get(lease) ?? [])]) tell(news);
  }
}
