/** Numbers of repeated measurements, and the verdict on them. */

/** The middle value; the mean of the two middle ones for an even count. @throws RangeError when there is none */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.ceil(sorted.length / 2) - 1];
  if (upper === undefined || lower === undefined) throw new RangeError("a median needs at least one value");
  return (lower + upper) / 2;
}

/** One repetition of two things measured right after each other. */
export interface Pair {
  readonly ours: number;
  readonly bare: number;
}

/** Median of the ratios pair by pair: what slows the machine for a while slows both halves of a pair. */
export function medianRatio(pairs: readonly Pair[]): number {
  return median(pairs.map(({ ours, bare }) => ours / bare));
}

/** Smallest and largest ratio: the noise beside the median. */
export function ratioRange(pairs: readonly Pair[]): { readonly low: number; readonly high: number } {
  const ratios = pairs.map(({ ours, bare }) => ours / bare);
  return { low: Math.min(...ratios), high: Math.max(...ratios) };
}

/** How far a figure may go. */
export type Limit = { readonly atMost: number } | { readonly atLeast: number } | { readonly below: number };

/** Figures by name; a name ends in its unit, or in `Ratio` or `Count`. */
export type Figures = Readonly<Record<string, number>>;

/** Figures with the rows that they are the sum of. */
export interface Measured {
  readonly figures: Figures;
  readonly cells: readonly Readonly<Record<string, unknown>>[];
}

/** What `npm run -s bench -- NAME --json` prints. */
export interface BenchDocument {
  readonly name: string;
  readonly figures: Figures;
  readonly limits: Readonly<Record<string, Limit>>;
  readonly ok: boolean;
  readonly cells?: Measured["cells"];
}

/** Figures that break their limit; one that was not measured breaks it too. */
export function brokenLimits(figures: Figures, limits: Readonly<Record<string, Limit>>): string[] {
  return Object.entries(limits)
    .filter(([name, limit]) => {
      const figure = figures[name];
      if (figure === undefined || !Number.isFinite(figure)) return true;
      if ("atMost" in limit) return figure > limit.atMost;
      return "atLeast" in limit ? figure < limit.atLeast : figure >= limit.below;
    })
    .map(([name]) => name);
}

/** The document of a benchmark. Figures are judged as measured and printed with at most three decimals. */
export function documentOf(name: string, figures: Figures, limits: Readonly<Record<string, Limit>>): BenchDocument {
  const rounded = Object.entries(figures).map(([key, value]) => [key, Math.round(value * 1000) / 1000] as const);
  return { name, figures: Object.fromEntries(rounded), limits, ok: brokenLimits(figures, limits).length === 0 };
}
