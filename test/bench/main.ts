/** `npm run -s bench -- NAME --json`: one benchmark; its document on stdout, its progress on stderr. */
import { type BenchArguments, readArguments, usage } from "./arguments.ts";
import { installSignalHandlers } from "./cleanup.ts";
import { type Figures, type Limit, type Measured, brokenLimits, documentOf } from "./statistics.ts";

type Say = (line: string) => void;

interface Benchmark {
  readonly limits: Readonly<Record<string, Limit>>;
  readonly measure: (asked: Omit<BenchArguments, "name" | "json">, say: Say) => Promise<Figures | Measured>;
}

const benchmarks: Readonly<Record<string, () => Promise<Benchmark>>> = {
  up: async () => {
    const { limits, measureUp } = await import("./up/index.ts");
    return { limits, measure: ({ runs, count }, say) => measureUp(runs ?? count, say) };
  },
  preempt: async () => {
    const { limits, measureBench } = await import("./preempt/index.ts");
    return { limits, measure: ({ runs, count }, say) => measureBench(runs ?? count, say) };
  },
  "keeper-soak": async () => {
    const { limits, measureSoak } = await import("./keeper-soak/index.ts");
    return { limits, measure: ({ runs, count }, say) => measureSoak(runs ?? count, say) };
  },
  agents: async () => {
    const { limits, measureAgents } = await import("./agents/index.ts");
    return { limits, measure: measureAgents };
  },
  "sentinel-idle": async () => {
    const { limits, measureIdle } = await import("./sentinel-idle/index.ts");
    return { limits, measure: ({ runs }, say) => measureIdle(runs, say) };
  },
  spot: async () => {
    const { limits, measureSpot } = await import("./spot/index.ts");
    return { limits, measure: ({ traces, count }, say) => measureSpot(traces, count, say) };
  },
  carbon: async () => {
    const { limits, measureCarbon } = await import("./carbon/index.ts");
    return { limits, measure: ({ series }, say) => Promise.resolve(measureCarbon(series, say)) };
  },
};

function hasCells(measured: Figures | Measured): measured is Measured {
  return Array.isArray(measured.cells);
}

const started = performance.now();
const say: Say = (line) => {
  process.stderr.write(`[${((performance.now() - started) / 1000).toFixed(1)}s] ${line}\n`);
};

async function main(): Promise<number> {
  const parsed = readArguments(process.argv.slice(2), Object.keys(benchmarks));
  if ("faults" in parsed) {
    process.stderr.write(`${parsed.faults.join("\n")}\n${usage}\n`);
    return 2;
  }
  const { name, json, ...asked } = parsed.ok;
  const load = benchmarks[name];
  if (load === undefined) return 2;
  installSignalHandlers();
  say(`bench ${name}: starting`);
  const { limits, measure } = await load();
  const measured = await measure(asked, say);
  const { figures, cells } = hasCells(measured) ? measured : { figures: measured, cells: undefined };
  const document = { ...documentOf(name, figures, limits), ...(cells === undefined ? {} : { cells }) };
  for (const figure of brokenLimits(figures, limits))
    say(`${figure} is ${String(document.figures[figure])}; allowed: ${JSON.stringify(limits[figure])}`);
  if (json) process.stdout.write(`${JSON.stringify(document)}\n`);
  else
    for (const [figure, value] of Object.entries(document.figures))
      process.stdout.write(`${figure.padEnd(26)} ${String(value)}\n`);
  return document.ok ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
