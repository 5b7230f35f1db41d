// The test runner behind `npm test`: runs the tiers side by side and sums up in one last line.
import { availableParallelism } from "node:os";
import { ensureClusterTools } from "../../cli/setup/cluster.ts";
import { projectRoot } from "../../cli/setup/paths.ts";
import { ToolchainUnavailable, ensureToolchain } from "../../cli/setup/toolchain.ts";
import { readArguments, usage } from "./arguments.ts";
import { runChecks } from "./check/index.ts";
import { limitedTo } from "./lanes.ts";
import { runMocha, testFiles } from "./mocha-tier.ts";
import { seedVariable } from "./seed.ts";
import { type Outcome, type TierResult, sumLine, sumOf } from "./outcome.ts";
import { type Tier, tiers } from "./tiers.ts";

const parsed = readArguments(process.argv.slice(2), tiers);
if ("faults" in parsed) {
  process.stderr.write(`${parsed.faults.join("\n")}\n${usage}\n`);
  process.exit(2);
}
const { tiers: chosen, json, grep, seed } = parsed.ok;
const out = json ? process.stderr : process.stdout;
const colour = out.isTTY && !process.env["NO_COLOR"];
const started = Date.now();
let interrupted = false;

function say(line: string): void {
  out.write(`${line}\n`);
}

function paint(code: number, text: string): string {
  return colour ? `\x1b[${code}m${text}\x1b[0m` : text;
}

function indented(text: string): string {
  return text.replace(/^/gm, "         ");
}

function show(tier: string, outcome: Outcome): void {
  const time = outcome.ms === undefined ? "" : ` (${outcome.ms} ms)`;
  if (outcome.kind === "passed") say(`  ${paint(32, "ok")}     ${tier}: ${outcome.title}${time}`);
  else if (outcome.kind === "skipped")
    say(`  ${paint(33, "skip")}   ${tier}: ${outcome.title}: ${outcome.detail ?? ""}`);
  else say(`  ${paint(31, "FAILED")} ${tier}: ${outcome.title}${time}\n${indented(outcome.detail ?? "")}`);
}

/** Set-ups run one after the other: two of them would build the same part twice. */
let lastSetup: Promise<unknown> = Promise.resolve();

/** Makes the tier's tools ready and returns the environment in which its tests find them. */
async function prepare(tier: Tier): Promise<Readonly<Record<string, string>>> {
  if (tier.uses.length === 0) return {};
  const progress = (line: string): void => void process.stderr.write(`[setup] ${line}\n`);
  const need = tier.uses.filter((part) => part !== "cluster");
  const mine = lastSetup.then(async () => {
    if (tier.uses.includes("cluster")) await ensureClusterTools({ progress });
    return need.length > 0 ? (await ensureToolchain({ need, progress })).env : {};
  });
  lastSetup = mine.catch(() => undefined);
  try {
    return await mine;
  } catch (error) {
    if (tier.needsThem || !(error instanceof ToolchainUnavailable)) throw error;
    progress(`${tier.name}: goes on without the engine: ${error.message}`);
    return {};
  }
}

/** One more than there are cores: a job that waits for a server leaves its core to another. */
const lane = limitedTo(availableParallelism() + 1);

/** The pieces of a tier that may run at the same time as others: each lists its test files. */
async function jobsOf(tier: Tier, folder: string): Promise<readonly (readonly string[])[]> {
  const files = await testFiles(projectRoot, folder);
  // A folder without a file stays one job, which fails.
  return tier.filesApart && files.length > 0 ? files.map((file) => [file]) : [files];
}

/** Runs one tier to its end; whatever goes wrong in it becomes an outcome. */
async function runTier(tier: Tier): Promise<TierResult> {
  const outcomes: Outcome[] = [];
  const skipped = (why: string): TierResult => {
    say(`${tier.name}: skipped: ${why}`);
    return { tier: tier.name, outcomes: [{ kind: "skipped", title: tier.name, detail: why }] };
  };
  const onOutcome = (outcome: Outcome): void => {
    outcomes.push(outcome);
    show(tier.name, outcome);
  };
  const { folder } = tier;
  const why = tier.canRun();
  if (why !== undefined) return skipped(why);
  try {
    const env = await prepare(tier);
    if (folder === undefined) {
      // Two tools at a time: the lanes of the checks are their own.
      await lane(() => runChecks(projectRoot, onOutcome));
      return { tier: tier.name, outcomes };
    }
    const options = {
      root: projectRoot,
      folder,
      grep,
      timeoutSec: tier.timeoutSec,
      printTo: json ? 2 : 1,
      env: { ...env, [seedVariable]: String(seed) },
      onOutcome,
    } as const;
    const jobs = await jobsOf(tier, folder);
    await Promise.all(
      jobs.map((files) => lane(() => (interrupted ? Promise.resolve() : runMocha({ ...options, files })))),
    );
  } catch (error) {
    if (error instanceof ToolchainUnavailable) return skipped(error.message);
    onOutcome({
      kind: "failed",
      title: `${tier.name}: set-up`,
      detail: error instanceof Error ? error.message : String(error),
    });
  }
  return { tier: tier.name, outcomes };
}

const results: TierResult[] = [];
function finish(): never {
  results.sort(
    (a, b) => tiers.findIndex(({ name }) => name === a.tier) - tiers.findIndex(({ name }) => name === b.tier),
  );
  const sum = sumOf(results);
  const faults = results.flatMap(({ tier, outcomes }) =>
    outcomes.filter((outcome) => outcome.kind === "failed").map((outcome) => `  ${tier}: ${outcome.title}`),
  );
  if (faults.length > 0) say(`failed:\n${faults.join("\n")}`);
  const seconds = (Date.now() - started) / 1000;
  say(`${interrupted ? "interrupted after" : "took"} ${seconds.toFixed(1)} s`);
  if (json) process.stdout.write(`${JSON.stringify({ ...sum, seconds, tiers: results })}\n`);
  say(sumLine(sum));
  const nothing = sum.passed + sum.failed + sum.skipped === 0;
  process.exit(interrupted ? 130 : sum.failed > 0 || nothing ? 1 : 0);
}

// The tests' own process gets the terminal's Ctrl-C as well and is waited for; a second one ends the run at once.
process.on("SIGINT", () => (interrupted ? finish() : (interrupted = true)));
say(`seed ${String(seed)}: the same again by --seed ${String(seed)}`);
for (const tier of chosen) say(`${tier.name}: ${tier.proves}`);
// The heavy tiers come last in the list and first into the lanes, so that the end has only small jobs to wait for.
await Promise.all(chosen.toReversed().map(async (tier) => results.push(await runTier(tier))));
finish();
