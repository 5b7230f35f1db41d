/**
 * Generated faulty configurations of stack genesis. Most go through the stack's own reading of its configuration;
 * some through the whole path: settings file, engine, program, with a lab there to be changed if one were let through.
 */
import * as pulumi from "@pulumi/pulumi";
import { join } from "node:path";
import { rmSync } from "node:fs";
import { SecretText } from "../../components/shared/secretText.ts";
import { type Session, openSession } from "../../cli/engine/session.ts";
import { describeEngineFault } from "../../cli/engine/progress.ts";
import { type Toolchain, ensureToolchain } from "../../cli/setup/toolchain.ts";
import type { ConfigValue } from "../../cli/targets/labConfig.ts";
import type { Target } from "../../cli/targets/target.ts";
import { readGenesisConfig } from "../../stacks/genesis.config.ts";
import { stackPrograms } from "../../stacks/programs.ts";
import { type Estate, openEstate } from "../support/estate.ts";
import { type FaultyConfig, faultyConfigs } from "../support/faultyConfigs.ts";
import { canaries } from "../support/genesisSettings.ts";
import { compareSnapshots } from "../support/hostSnapshot.ts";
import type { CampaignOptions, CampaignResult } from "./campaign.ts";

/** Of how many configurations one goes through the engine. */
const engineShare = 10;

/** What is wrong with a refusal, in words; nothing when it is as promised. */
export function judgeRefusal(faulty: FaultyConfig, text: string): string[] {
  const wrong: string[] = [];
  const lines = text.split("\n").map((line) => line.trim());
  for (const property of faulty.expected) {
    const line = lines.find((each) => each.startsWith(`- ${property} is `));
    if (line === undefined) wrong.push(`${property} is not named`);
    else if (!/^- \S+ is .+; allowed: .+\. \S.*[.?)]?$/.test(line)) wrong.push(`no value, limit and fix in: ${line}`);
  }
  if (/^\s+at .+[:(]/m.test(text)) wrong.push("a stack trace is shown");
  for (const canary of canaries) if (text.includes(canary)) wrong.push("a secret is shown");
  return wrong.map((what) => `${what} (changed: ${faulty.mutations.join(", ")})`);
}

/** Keys whose numbers are names: Pulumi stores `nodeName: 5` as the text "5", which is a name and no fault. */
const isText = ({ raw }: FaultyConfig): boolean => typeof raw["nodeName"] !== "number";

/** Whether a configuration, were it let through, would lead beyond this machine: the engine never gets such a one. */
const leadsAway = ({ mutations }: FaultyConfig): boolean =>
  mutations.some((path) => path === "endpoint" || path === "ssh.host" || path.startsWith("images"));

/** The refusal by the stack's own reading, set as the engine sets it. */
function refusalInProcess(faulty: FaultyConfig): string {
  const entries = Object.entries(faulty.raw).map(([key, value]): [string, string] => [
    `hive:${key}`,
    value instanceof SecretText ? value.reveal() : typeof value === "string" ? value : JSON.stringify(value),
  ]);
  const secret = Object.entries(faulty.raw).flatMap(([key, value]) =>
    value instanceof SecretText ? [`hive:${key}`] : [],
  );
  pulumi.runtime.setAllConfig(Object.fromEntries(entries), secret);
  try {
    readGenesisConfig(new pulumi.Config("hive"));
    return "";
  } catch (error) {
    // The engine prints the text alone of a RunError, and the stack of anything else.
    const stack = error instanceof Error ? error.stack : undefined;
    return pulumi.RunError.isInstance(error) ? error.message : (stack ?? String(error));
  } finally {
    pulumi.runtime.setAllConfig({}, []);
  }
}

/** The lab's own settings, with every key that the configuration breaks taken from it. */
function settingsFor(faulty: FaultyConfig, target: Target): Target {
  const { write } = target;
  if (write === undefined) throw new Error("the lab's target has no settings");
  const plain: Record<string, ConfigValue> = { ...write.plain };
  const secrets: Record<string, string> = { ...write.secrets };
  for (const key of new Set(faulty.mutations.map((path) => path.split(".")[0] ?? ""))) {
    const name = `hive:${key}`;
    const value = faulty.raw[key];
    Reflect.deleteProperty(plain, name);
    Reflect.deleteProperty(secrets, name);
    if (value instanceof SecretText) secrets[name] = value.reveal();
    else if (value !== undefined) plain[name] = asConfig(key === "ssh" ? withLabHost(value, write.plain[name]) : value);
  }
  return { ...target, write: { ...write, plain, secrets } };
}

function withLabHost(value: unknown, lab: ConfigValue | undefined): unknown {
  const host: unknown = lab instanceof Object ? Reflect.get(lab, "host") : undefined;
  return value instanceof Object && !Array.isArray(value) ? { ...value, host } : value;
}

/** As a settings file holds it: JSON has exactly the values that it may have. */
function asConfig(value: unknown): ConfigValue {
  return JSON.parse(JSON.stringify(value)) as ConfigValue;
}

/** Runs `up` of the real engine on a configuration: what it said, and what is wrong with it. */
async function throughEngine(faulty: FaultyConfig, estate: Estate, toolchain: Toolchain): Promise<string[]> {
  const program = stackPrograms["genesis"];
  if (program === undefined) throw new Error("stack genesis has no program");
  const target = settingsFor(faulty, estate.target());
  for (const file of [join(target.workDir, "Pulumi.genesis.yaml"), target.write?.digestFile ?? ""])
    rmSync(file, { force: true });
  const before = await estate.snapshot();
  const session: Session = await openSession({
    target,
    engine: { file: toolchain.engine.path, env: toolchain.env },
    program,
    policyPacks: [],
  });
  const requests = estate.traffic().length;
  const outcome = await session.run("up");
  const text = [outcome.message ?? "", ...outcome.progress.errors.map(describeEngineFault)].join("\n");
  // The first event repeats the settings file, and a token that was put there in clear with it: that is the fault itself.
  const events = outcome.events.filter(({ preludeEvent }) => preludeEvent === undefined);
  const shown = [text, ...events.map((event) => JSON.stringify(event))].join("\n");
  const wrong = judgeRefusal(faulty, text);
  if (outcome.succeeded) wrong.push("the engine let it through");
  for (const canary of canaries) if (shown.includes(canary)) wrong.push("an engine event shows a secret");
  wrong.push(...compareSnapshots(before, await estate.snapshot()).map((line) => `the host changed: ${line}`));
  const changing = estate
    .traffic()
    .slice(requests)
    .filter((line) => !line.startsWith('{"method":"GET"'));
  return [...wrong, ...changing.map((line) => `a request that changes: ${line}`)];
}

/** @see CampaignOptions; `engineRuns` is how many of them go through the engine, by default one in ten and 20 at least. */
export async function runFaulty(options: CampaignOptions & { readonly engineRuns?: number }): Promise<CampaignResult> {
  const { count, seed, tell } = options;
  const all = faultyConfigs(count * 2, seed)
    .filter(isText)
    .slice(0, count);
  const engineRuns = options.engineRuns ?? Math.min(count, Math.max(20, Math.ceil(count / engineShare)));
  const chosen = all.filter((faulty) => !leadsAway(faulty)).slice(0, engineRuns);
  const wrong: string[] = [];
  for (const faulty of all) wrong.push(...judgeRefusal(faulty, refusalInProcess(faulty)));
  tell(`${String(all.length)} read by the stack itself: ${String(wrong.length)} not as promised`);
  const toolchain = await ensureToolchain({ need: ["engine", "proxmoxve", "command"], progress: tell });
  const estate = await openEstate(toolchain);
  let done = 0;
  try {
    for (const faulty of chosen) {
      wrong.push(...(await throughEngine(faulty, estate, toolchain)));
      done += 1;
      tell(`${String(done)} of ${String(chosen.length)} through the engine: ${faulty.mutations.join(", ")}`);
    }
  } finally {
    await estate.close();
  }
  for (const line of wrong) tell(line);
  const faults = all.reduce((sum, { expected }) => sum + expected.length, 0);
  return {
    figures: { configurations: all.length, faults, throughEngine: done, notAsPromised: wrong.length },
    ok: wrong.length === 0 && all.length === count && done === engineRuns,
  };
}
