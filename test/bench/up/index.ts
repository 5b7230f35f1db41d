/** Benchmark `up`: what the components and planners cost over a program without them. */
import { join } from "node:path";
import { projectRoot } from "../../../cli/setup/paths.ts";
import { type Figures, type Limit, median } from "../statistics.ts";
import { measureEstate } from "./estate.ts";
import { measuredRun } from "./measuredRun.ts";
import { measureTypecheck } from "./typecheck.ts";

/** Issue "The spine", must be shown 5. */
export const limits: Readonly<Record<string, Limit>> = {
  timeRatio: { atMost: 1.3 },
  typecheckRatio: { atMost: 1.6 },
  helpMs: { below: 150 },
};

const helpRuns = 20;

export async function measureUp(runs: number | undefined, say: (line: string) => void): Promise<Figures> {
  const help = await measureHelp(say);
  const types = await measureTypecheck(runs ?? 5, say);
  const estate = await measureEstate(runs ?? 5, say);
  return { ...estate, ...types, ...help };
}

async function measureHelp(say: (line: string) => void): Promise<Figures> {
  const times: number[] = [];
  for (let index = 0; index < helpRuns; index++) {
    const entry = join(projectRoot, "cli", "bin", "hive.mjs");
    const { ms } = await measuredRun(process.execPath, [entry, "--help"], { cwd: projectRoot, watch: false });
    times.push(ms);
  }
  const helpMs = median(times);
  say(`hive --help: ${helpMs.toFixed(0)} ms, the middle of ${String(helpRuns)}`);
  return { helpMs, helpHighestMs: Math.max(...times) };
}
