/** Benchmark `carbon`: a job of 4 hours that may wait 24, against what a perfect forecast of the grid's carbon saves. */
import { join } from "node:path";
import type { Figures, Limit } from "../statistics.ts";
import { replay, warmUp } from "./replay.ts";
import { readSeries } from "./series.ts";

export const limits: Readonly<Record<string, Limit>> = {
  oracleShare: { atLeast: 0.55 },
  abovePersistenceShare: { atLeast: 0.1 },
  aboveFixedShare: { atLeast: 0.1 },
  lateCount: { atMost: 0 },
};

/** Where the French year lies beside the project (test/README.md); `--series` names any other file. */
const defaultSeries = join(import.meta.dirname, "../../../../shared/data/carbon/fr_2020.csv");

/** @throws Error when the series cannot be read or is too short */
export function measureCarbon(file: string | undefined, say: (line: string) => void): Figures {
  const path = file ?? defaultSeries;
  const series = readSeries(path);
  const began = performance.now();
  const { saved, jobs, late, fixedHour } = replay(series);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  say(`${path}: ${String(jobs)} jobs after ${String(warmUp / 48)} days of history, in ${seconds} s`);
  say(`best fixed window, known only afterwards: ${String(fixedHour)} h UTC`);
  const share = (percent: number): number => percent / saved.oracle;
  return {
    oracleShare: share(saved.ours),
    abovePersistenceShare: share(saved.ours - saved.persistence),
    aboveFixedShare: share(saved.ours - saved.fixed),
    interruptibleOracleShare: saved.interruptible / saved.freeOracle,
    savedPercent: saved.ours,
    oracleSavedPercent: saved.oracle,
    persistenceSavedPercent: saved.persistence,
    fixedSavedPercent: saved.fixed,
    interruptibleSavedPercent: saved.interruptible,
    jobsCount: jobs,
    lateCount: late,
  };
}
