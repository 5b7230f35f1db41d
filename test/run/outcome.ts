// What a tier reports, test by test.

export interface Outcome {
  readonly kind: "passed" | "failed" | "skipped";
  readonly title: string;
  readonly ms?: number;
  /** The error, or why it was skipped. */
  readonly detail?: string;
}

export interface TierResult {
  readonly tier: string;
  readonly outcomes: readonly Outcome[];
}

export interface Sum {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export function sumOf(results: readonly TierResult[]): Sum {
  const all = results.flatMap((result) => result.outcomes);
  const count = (kind: Outcome["kind"]): number => all.filter((outcome) => outcome.kind === kind).length;
  return { passed: count("passed"), failed: count("failed"), skipped: count("skipped") };
}

/** The last line of a run: `N passed, N failed, N skipped`. */
export function sumLine(sum: Sum): string {
  return `${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`;
}
