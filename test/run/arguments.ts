// The runner's command line.
import { parseArgs } from "node:util";
import type { Tier } from "./tiers.ts";

export interface RunArguments {
  readonly tiers: readonly Tier[];
  readonly json: boolean;
  readonly grep: string;
}

export const usage = "usage: npm test -- [--tier NAME]… [--grep TEXT] [--json]";

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
      json: { type: "boolean" },
    },
  });
  const faults: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") faults.push(`unknown argument "${token.value}"`);
    if (token.kind !== "option") continue;
    if (!["tier", "grep", "json"].includes(token.name)) faults.push(`unknown option ${token.rawName}`);
    else if (token.name !== "json" && !token.value) faults.push(`${token.rawName} needs a value`);
    else if (token.name === "json" && token.value !== undefined) faults.push("--json takes no value");
  }
  const names = (values.tier ?? []).filter((name) => typeof name === "string");
  const list = known.map((tier) => tier.name).join(", ");
  for (const name of names)
    if (!known.some((tier) => tier.name === name)) faults.push(`unknown tier "${name}". The tiers are: ${list}`);
  if (faults.length > 0) return { faults };
  return {
    ok: {
      tiers: names.length === 0 ? known : known.filter((tier) => names.includes(tier.name)),
      json: values.json === true,
      grep: typeof values.grep === "string" ? values.grep : "",
    },
  };
}
