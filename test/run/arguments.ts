// The runner's command line.
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { usualSeed } from "./seed.ts";
import type { Tier } from "./tiers.ts";

export interface RunArguments {
  readonly tiers: readonly Tier[];
  readonly json: boolean;
  readonly grep: string;
  /** From 1 on. */
  readonly seed: number;
}

const mostSeed = 2 ** 31 - 1;

export const usage = "usage: npm test -- [--tier NAME]… [--grep TEXT] [--seed N|random] [--json]";

/** Reads the command line, or says everything that is wrong with it. */
export function readArguments(
  argv: readonly string[],
  known: readonly Tier[],
): { readonly ok: RunArguments } | { readonly faults: readonly string[] } {
  const { values, tokens } = parseArgs({
    args: [...argv],
    strict: false,
    tokens: true,
    options: {
      tier: { type: "string", multiple: true },
      grep: { type: "string" },
      seed: { type: "string" },
      json: { type: "boolean" },
    },
  });
  const faults: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") faults.push(`unknown argument "${token.value}"`);
    if (token.kind !== "option") continue;
    if (!["tier", "grep", "seed", "json"].includes(token.name)) faults.push(`unknown option ${token.rawName}`);
    else if (token.name !== "json" && !token.value) faults.push(`${token.rawName} needs a value`);
    else if (token.name === "json" && token.value !== undefined) faults.push("--json takes no value");
  }
  const names = (values.tier ?? []).filter((name) => typeof name === "string");
  const list = known.map((tier) => tier.name).join(", ");
  for (const name of names)
    if (!known.some((tier) => tier.name === name)) faults.push(`unknown tier "${name}". The tiers are: ${list}`);
  const seed = seedOf(values.seed);
  if (seed === undefined) faults.push(`--seed takes random, or a whole number from 1 to ${String(mostSeed)}`);
  if (faults.length > 0 || seed === undefined) return { faults };
  return {
    ok: {
      tiers: names.length === 0 ? known : known.filter((tier) => names.includes(tier.name)),
      json: values.json === true,
      grep: typeof values.grep === "string" ? values.grep : "",
      seed,
    },
  };
}

function seedOf(text: string | boolean | undefined): number | undefined {
  if (text === undefined) return usualSeed;
  if (text === "random") return randomInt(1, mostSeed);
  const seed = Number(text);
  return Number.isInteger(seed) && seed >= 1 && seed <= mostSeed ? seed : undefined;
}
