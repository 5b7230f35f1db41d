/** What became of the cycles. Pure. */

/** One cycle, as it was seen before its server was destroyed. */
export interface CycleSeen {
  readonly name: string;
  readonly by: "engine" | "calls";
  /** What was done to it; undefined when nothing was. */
  readonly fault: string | undefined;
  /** The run of its signal, once the Sentinel had promised it. */
  readonly runId: string | undefined;
  /** How that run ended; undefined when it did not. */
  readonly end: string | undefined;
  /** Whether its result was the payload. */
  readonly isRight: boolean;
  /** Run ids in the order in which the agent completed them, by its own notes. */
  readonly completions: readonly string[];
}

export interface Verdict {
  /** Promised signals without a completed run and its result: the agent is idempotent, so that each must come to it. */
  readonly lost: number;
  /** Completions of a run that had been completed. */
  readonly doubled: number;
  /** A sentence for each cycle that is among them. */
  readonly why: readonly string[];
}

export function judgeCycles(cycles: readonly CycleSeen[]): Verdict {
  const why: string[] = [];
  let [lost, doubled] = [0, 0];
  for (const { name, by, fault, runId, end, isRight, completions } of cycles) {
    const what = `${name} (by ${by}, ${fault ?? "no fault"})`;
    const again = completions.length - new Set(completions).size;
    doubled += again;
    if (again > 0) why.push(`${what}: completed ${String(again)} time(s) too often`);
    if (runId === undefined || (end === "completed" && isRight)) continue;
    lost += 1;
    why.push(`${what}: ${runId} ended as ${end ?? "nothing"}${isRight ? "" : ", without its result"}`);
  }
  return { lost, doubled, why };
}
