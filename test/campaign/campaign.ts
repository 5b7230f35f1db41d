/** What every campaign is given, and what it answers. */
export interface CampaignOptions {
  readonly count: number;
  readonly seed: number;
  /** A line about how it goes on, for people. */
  readonly tell: (line: string) => void;
  /** Aborted by Ctrl-C: the one under way ends, and everything that was started is taken down. */
  readonly stop?: AbortSignal | undefined;
}

export interface CampaignResult {
  /** Names end in their unit, unless they are counts. */
  readonly figures: Readonly<Record<string, number>>;
  /** Whether everything is as promised. */
  readonly ok: boolean;
}
