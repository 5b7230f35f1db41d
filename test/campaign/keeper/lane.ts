/** One after the other the faults of a place, each judged by itself. */

/** Where faults happen. */
export interface Place {
  /** Makes the fault happen, ends it, and says what it was; `random` decides all that is left to chance. */
  fault(name: string): Promise<string>;
  /** Time until everything was well again, ms. @throws Error with what is not as promised */
  judge(withinMs: number): Promise<number>;
  /** After a failure: nothing of it may show in the next one. */
  afresh(): Promise<void>;
}

export interface LaneOptions {
  readonly names: readonly string[];
  readonly withinMs: number;
  readonly seed: number;
  readonly tell: (line: string) => void;
  readonly stop?: AbortSignal | undefined;
}

export interface LaneFigures {
  readonly failed: number;
  readonly longestRecoveryMs: number;
}

export async function runLane(place: Place, { names, withinMs, seed, tell, stop }: LaneOptions): Promise<LaneFigures> {
  let failed = 0;
  let longestRecoveryMs = 0;
  for (const [index, name] of names.entries()) {
    if (stop?.aborted === true) break;
    const run = index + 1;
    let what = name;
    try {
      what = `${name}: ${await place.fault(name)}`;
      longestRecoveryMs = Math.max(longestRecoveryMs, await place.judge(withinMs));
    } catch (error) {
      failed += 1;
      const reason = error instanceof Error ? error.message : String(error);
      tell(`FAILED ${String(run)} (seed ${String(seed)}), ${what}: ${reason}`);
      await place.afresh();
    }
    if (run % 25 === 0 || names.length <= 25) tell(`${String(run)} of ${String(names.length)}: ${what}`);
  }
  return { failed, longestRecoveryMs };
}
