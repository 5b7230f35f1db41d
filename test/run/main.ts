// The test runner behind `npm test`: runs the tiers one after the other and sums up in one last line.
import { projectRoot } from "../../cli/setup/paths.ts";
import { ToolchainUnavailable, ensureToolchain } from "../../cli/setup/toolchain.ts";
import { readArguments, usage } from "./arguments.ts";
import { runChecks } from "./check/index.ts";
import { runMocha } from "./mocha-tier.ts";
import { type Outcome, type TierResult, sumLine, sumOf } from "./outcome.ts";
import { type Tier, tiers } from "./tiers.ts";

const parsed = readArguments(process.argv.slice(2), tiers);
if ("faults" in parsed) {
  process.stderr.write(`${parsed.faults.join("\n")}\n${usage}\n`);
  process.exit(2);
}
const { tiers: chosen, json, grep } = parsed.ok;
const out = json ? process.stderr : process.stdout;
const colour = out.isTTY && !process.env["NO_COLOR"];
const started = Date.now();

function say(line: string): void {
  out.write(`${line}\n`);
}

function paint(code: number, text: string): string {
  return colour ? `\x1b[${code}m${text}\x1b[0m` : text;
}

function indented(text: string): string {
  return text.replace(/^/gm, "         ");
}

function show(outcome: Outcome): void {
  const time = outcome.ms === undefined ? "" : ` (${outcome.ms} ms)`;
  if (outcome.kind === "passed") say(`  ${paint(32, "ok")}     ${outcome.title}${time}`);
  else if (outcome.kind === "skipped") say(`  ${paint(33, "skip")}   ${outcome.title}: ${outcome.detail ?? ""}`);
  else say(`  ${paint(31, "FAILED")} ${outcome.title}${time}\n${indented(outcome.detail ?? "")}`);
}

/** Makes the tier's tools ready and returns the environment in which its tests find them. */
async function prepare(tier: Tier): Promise<Readonly<Record<string, string>>> {
  if (tier.uses.length === 0) return {};
  const progress = (line: string): void => void process.stderr.write(`[setup] ${line}\n`);
  try {
    return (await ensureToolchain({ need: tier.uses, progress })).env;
  } catch (error) {
    if (tier.needsThem || !(error instanceof ToolchainUnavailable)) throw error;
    progress(`${tier.name}: goes on without the engine: ${error.message}`);
    return {};
  }
}

/** Runs one tier to its end; whatever goes wrong in it becomes an outcome. */
async function runTier(tier: Tier): Promise<TierResult> {
  const outcomes: Outcome[] = [];
  const skipped = (why: string): TierResult => {
    say(`skipped: ${tier.name}: ${why}`);
    return { tier: tier.name, outcomes: [{ kind: "skipped", title: tier.name, detail: why }] };
  };
  say(`${tier.name}: ${tier.proves}`);
  const why = tier.canRun();
  if (why !== undefined) return skipped(why);
  const onOutcome = (outcome: Outcome): void => {
    outcomes.push(outcome);
    show(outcome);
  };
  try {
    const env = await prepare(tier);
    if (tier.folder === undefined) await runChecks(projectRoot, onOutcome);
    else
      await runMocha({
        root: projectRoot,
        folder: tier.folder,
        timeoutSec: tier.timeoutSec,
        grep,
        printTo: json ? 2 : 1,
        env,
        onOutcome,
      });
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
let interrupted = false;

function finish(): never {
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
for (const tier of chosen) if (!interrupted) results.push(await runTier(tier));
finish();
