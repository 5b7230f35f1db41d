/** Benchmark `spot`: what Nerve's decisions would have cost on recorded spot markets, beside others and the bound. */
import type { Limit, Measured } from "../statistics.ts";
import { type Cell, cellsOf, judged, pointsOf, ratios, rowOfCell } from "./cells.ts";
import { readTraces } from "./traces.ts";

export const limits: Readonly<Record<string, Limit>> = {
  starts: { atLeast: 10_000 },
  late: { atMost: 0 },
  hopLimitBroken: { atMost: 0 },
  gapClosedShare: { atLeast: 0.2 },
  worstCellPoints: { atLeast: -0.5 },
};

/** p3.2xlarge on demand, which the recorded V100 zones are compared with, USD/h. */
const onDemandUsdPerHour = 3.06;
/** Starts that are judged when nothing else is asked for. */
const enough = 10_000;

/** @param count starts to judge over all regions and ratios, about; 10,000 when absent, or as many rows as there are */
export async function measureSpot(
  folder: string | undefined,
  count: number | undefined,
  say: (line: string) => void,
): Promise<Measured> {
  if (folder === undefined)
    throw new Error("--traces is missing: give the folder of the traces, such as ../shared/data/spot");
  const traces = readTraces(folder);
  const possible = traces.flatMap((trace) => ratios.map((ratio) => judged(trace, ratio)));
  const rows = possible.reduce((sum, { from, to }) => sum + to - from, 0);
  if (rows === 0)
    throw new Error(`--traces ${folder}: the traces are too short. 15 days are learnt from, and a job has up to 80 h`);
  const stride = Math.max(1, Math.floor(rows / (count ?? enough)));
  const cells: Cell[] = [];
  for (const trace of traces) cells.push(...cellsOf(trace, stride, onDemandUsdPerHour, say));
  const judgedCells = cells.filter(({ sums }) => sums.ours.starts > 0);
  const sum = (of: (cell: Cell) => number): number => judgedCells.reduce((total, cell) => total + of(cell), 0);
  const troubled = judgedCells.flatMap(({ trouble }) => Object.values(trouble));
  // Each cell weighs the same, however many starts it had.
  const per = (of: (cell: Cell) => number): number => sum((cell) => of(cell) / cell.sums.onDemand.usd);
  const uniform = per(({ sums }) => sums.uniformProgress.usd);
  return {
    figures: {
      starts: sum(({ sums }) => sums.ours.starts),
      troubledStarts: troubled.reduce((total, { starts }) => total + starts, 0),
      late: sum(({ sums }) => sums.ours.late) + troubled.reduce((total, { late }) => total + late, 0),
      hopLimitBroken: sum(({ sums }) => sums.ours.brokeLimit),
      gapClosedShare: (uniform - per(({ sums }) => sums.ours.usd)) / (uniform - per(({ bound }) => bound.usd)),
      worstCellPoints: Math.min(...judgedCells.map(pointsOf)),
      dividedBy: judgedCells.length / per(({ sums }) => sums.ours.usd),
    },
    cells: judgedCells.map(rowOfCell),
  };
}
