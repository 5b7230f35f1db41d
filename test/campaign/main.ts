// npm run campaign -- NAME [--count N] [--seed S] [--json]
import { parseArgs } from "node:util";
import type { CampaignOptions, CampaignResult } from "./campaign.ts";

interface Entry {
  readonly text: string;
  readonly count: number;
  readonly load: () => Promise<(options: CampaignOptions) => Promise<CampaignResult>>;
}

const campaigns: Readonly<Record<string, Entry>> = {
  kills: {
    text: "kills at random moments of up and destroy; the next run must converge",
    count: 50,
    load: async () => (await import("./kills.ts")).runKills,
  },
  faulty: {
    text: "generated faulty configurations; each must be refused before any change",
    count: 200,
    load: async () => (await import("./faulty.ts")).runFaulty,
  },
  keeper: {
    text: "faults of both sides of the Keeper: kills, hung driver, full disk, failing Proxmox, cut link, malformed input …",
    count: 500,
    load: async () => {
      const { runKeeperFaults } = await import("./keeper/index.ts");
      return (options) => runKeeperFaults(options);
    },
  },
  signals: {
    text: "signals through a Sentinel to runners while either is killed; none lost, none doubled",
    count: 10_000,
    load: async () => {
      const { runSignals } = await import("./signals/index.ts");
      return (options) => runSignals(options);
    },
  },
  "signal-fuzz": {
    text: "seeded attacks on a runner's signal endpoint; none accepted, nothing changed, no memory kept",
    count: 1_000_000,
    load: async () => (await import("./signals/fuzz.ts")).runSignalFuzz,
  },
};

const mostCount = 10_000_000;

function usage(problem: string): number {
  const names = Object.entries(campaigns).map(([name, entry]) => `  ${name.padEnd(12)}${entry.text}`);
  process.stderr.write(
    `${problem}\nusage: npm run campaign -- NAME [--count N] [--seed S] [--json]\n${names.join("\n")}\n`,
  );
  return 2;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { count: { type: "string" }, seed: { type: "string" }, json: { type: "boolean", default: false } },
    allowPositionals: true,
  });
  const [name = ""] = positionals;
  const entry = campaigns[name];
  if (entry === undefined || positionals.length !== 1) return usage(`unknown campaign "${positionals.join(" ")}"`);
  const count = Number(values.count ?? entry.count);
  const seed = Number(values.seed ?? Date.now() % 1_000_000);
  if (!Number.isSafeInteger(count) || count < 1 || count > mostCount)
    return usage(`--count ${String(values.count)}: a whole number from 1`);
  if (!Number.isSafeInteger(seed) || seed < 0) return usage(`--seed ${String(values.seed)}: a whole number from 0`);
  const begun = Date.now();
  const tell = (line: string): void => {
    process.stderr.write(`[${((Date.now() - begun) / 1000).toFixed(1)}s] ${line}\n`);
  };
  tell(`campaign ${name}: ${String(count)} with seed ${String(seed)}`);
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => {
      tell("stopping after the one under way");
      stop.abort();
    });
  const run = await entry.load();
  const result = await run({ count, seed, tell, stop: stop.signal });
  const { figures } = result;
  const ok = result.ok && !stop.signal.aborted;
  if (values.json) process.stdout.write(`${JSON.stringify({ name, count, seed, figures, ok })}\n`);
  else
    process.stdout.write(
      `${Object.entries(figures)
        .map(([figure, value]) => `${figure.padEnd(20)}${String(value)}`)
        .join("\n")}\n${ok ? "all is well" : "NOT as promised"} (seed ${String(seed)})\n`,
    );
  return ok ? 0 : 1;
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return 1;
});
