/** Benchmark `preempt`: a human's request while a batch runs, against a plain `kill -STOP` of the same tree. */
import { availableParallelism } from "node:os";
import type { Figures, Limit } from "../statistics.ts";
import { measurePreempt } from "./daemon.ts";
import { measureFreeze, measureStopFloor, percentile } from "./processes.ts";

/** Issue "The Keeper", must be shown 1; the seed asks for 200 ms (`000_…` §3). */
export const limits: Readonly<Record<string, Limit>> = {
  p99Ms: { below: 20 },
  loadedP99Ms: { below: 200 },
  movedCount: { atMost: 0 },
  lostCount: { atMost: 0 },
};

/** Busy processes of the quiet batch: one a core, which leaves the Keeper none of its own. */
const processes = availableParallelism();
const loadedProcesses = 64;
/** Preemptions under full load, as a share of those without. */
const loadedShare = 0.2;

export async function measureBench(count: number | undefined, say: (line: string) => void): Promise<Figures> {
  const rounds = count ?? 1000;
  const floor = await measureStopFloor({ processes }, rounds);
  say(`floor: kill -STOP of ${String(processes)} processes, p99 ${percentile(floor.holdMs, 0.99).toFixed(2)} ms`);
  const freeze = await measureFreeze({ processes }, rounds);
  say(`cgroup freeze of the same tree, p99 ${percentile(freeze.holdMs, 0.99).toFixed(2)} ms`);
  const quiet = await measurePreempt({ processes, background: 0, rounds });
  say(`${String(rounds)} preemptions, p99 ${percentile(quiet.grantMs, 0.99).toFixed(2)} ms`);
  const loadedRounds = Math.max(20, Math.round(rounds * loadedShare));
  const background = 2 * availableParallelism();
  const loaded = await measurePreempt({ processes: loadedProcesses, background, rounds: loadedRounds });
  say(`${String(loadedRounds)} with ${String(loadedProcesses)} processes and the machine full`);
  return {
    p50Ms: percentile(quiet.grantMs, 0.5),
    p99Ms: percentile(quiet.grantMs, 0.99),
    maxMs: quiet.grantMs.at(-1) ?? Number.NaN,
    floorP50Ms: percentile(floor.holdMs, 0.5),
    floorP99Ms: percentile(floor.holdMs, 0.99),
    freezeP99Ms: percentile(freeze.holdMs, 0.99),
    loadedP50Ms: percentile(loaded.grantMs, 0.5),
    loadedP99Ms: percentile(loaded.grantMs, 0.99),
    loadedMaxMs: loaded.grantMs.at(-1) ?? Number.NaN,
    preemptionCount: rounds,
    loadedPreemptionCount: loadedRounds,
    movedCount: quiet.movedCount + loaded.movedCount,
    lostCount: quiet.lostCount + loaded.lostCount,
  };
}
