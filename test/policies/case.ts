import type { FixtureResource } from "./runRule.ts";

/** One fixture of a rule. */
export interface RuleCase {
  readonly title: string;
  readonly resources: readonly FixtureResource[];
  readonly config?: Readonly<Record<string, unknown>>;
  /** What each violation's message must say, in order; none: the rule must pass. */
  readonly violations: readonly RegExp[];
}

/** Fixtures by rule name. */
export type RuleCases = Readonly<Record<string, readonly RuleCase[]>>;
