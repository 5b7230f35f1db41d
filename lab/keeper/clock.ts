// The clock of an evening: the player moves it, the Keeper reads it. Calendars alone go by it; leases, deadlines and
// samples stay in real time.
import { renameSync, writeFileSync } from "node:fs";

/** Time between two moves, ms. */
const stepMs = 50;

export class EveningClock {
  /** The file that holds what is to be added to the machine's clock, ms. */
  readonly file: string;
  readonly #rate: number;
  #nowMs: number;
  #atMs = Date.now();

  /** Stands at `fromMs` (Unix ms) and runs, when let, `rate` times as fast as the machine's. */
  constructor(file: string, fromMs: number, rate: number) {
    this.file = file;
    this.#rate = rate;
    this.#nowMs = fromMs;
    this.#write();
  }

  /** The evening's time. Between two moves it goes on as the machine's own does. */
  get nowMs(): number {
    return this.#nowMs + Date.now() - this.#atMs;
  }

  /** Runs to an instant, or for as long as the signal lets it. */
  async runTo(atMs: number, rest: (ms: number) => Promise<void>, signal: AbortSignal): Promise<void> {
    while (this.nowMs < atMs && !signal.aborted) {
      const before = performance.now();
      const leftMs = (atMs - this.nowMs) / this.#rate;
      await rest(Math.min(stepMs, leftMs));
      const movedMs = (performance.now() - before) * this.#rate;
      this.#nowMs = Math.min(atMs, Math.max(this.nowMs, this.#nowMs + movedMs));
      this.#atMs = Date.now();
      this.#write();
    }
  }

  #write(): void {
    const draft = `${this.file}.new`;
    writeFileSync(draft, `${String(Math.round(this.#nowMs - this.#atMs))}\n`, { mode: 0o600 });
    renameSync(draft, this.file);
  }
}
