/** What may go otherwise than it was said: injected one by one and all at once, to see whether any deadline is missed. */
import { seededRandom } from "../../support/seeded.ts";
import type { Job } from "./replay.ts";
import type { RegionTrace } from "./traces.ts";
import type { Told } from "./ours.ts";
import { agesOf } from "./ours.ts";

/** Kinds of injected trouble: starts that take three times as long, a runtime wrong by up to 20 %, no spot at all. */
export const troubles = ["changeover", "runtime", "shortage", "all"] as const;
export type Trouble = (typeof troubles)[number];

/** The truth about the `n`-th job, where its owner said `told`. */
export function truthOf(trouble: Trouble, told: Told, deadline: number, n: number): Job {
  const longer = trouble === "changeover" || trouble === "all" ? 3 : 1;
  const wrong = trouble === "runtime" || trouble === "all" ? wrongBy(n) : 1;
  return { work: Math.round(told.work * wrong), deadline, changeover: told.changeover * longer };
}

/** A fifth less, a fifth more, or anything between. */
function wrongBy(n: number): number {
  if (n % 3 === 0) return 0.8;
  return n % 3 === 1 ? 1.2 : 0.8 + 0.4 * seededRandom(n)();
}

/** A copy of a trace in which spot can be taken away for a while, and its ages. */
export class ShortTrace {
  readonly trace: RegionTrace;
  readonly ages: readonly Int32Array[];
  readonly #original: RegionTrace;
  readonly #originalAges: readonly Int32Array[];

  constructor(original: RegionTrace) {
    this.#original = original;
    this.#originalAges = agesOf(original);
    this.trace = { ...original, up: original.up.map((up) => up.slice()) };
    this.ages = this.#originalAges.map((ages) => ages.slice());
  }

  /** Runs `body` while no zone is up from row `from` on, until row `to`. */
  without<T>(from: number, to: number, body: () => T): T {
    for (const [zone, up] of this.trace.up.entries()) {
      up.fill(0, from, to);
      const before = this.#original.up[zone]?.[from - 1] === 0 ? (this.#originalAges[zone]?.[from - 1] ?? 0) + 1 : 0;
      for (let row = from; row < Math.min(to, this.trace.rows); row += 1) {
        const ages = this.ages[zone];
        if (ages !== undefined) ages[row] = before + row - from;
      }
    }
    try {
      return body();
    } finally {
      for (const [zone, up] of this.trace.up.entries()) {
        up.set(this.#original.up[zone]?.subarray(from, to) ?? [], from);
        this.ages[zone]?.set(this.#originalAges[zone]?.subarray(from, to) ?? [], from);
      }
    }
  }
}
