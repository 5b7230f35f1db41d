import { parseArgs } from "node:util";

export interface BenchArguments {
  readonly name: string;
  readonly json: boolean;
  /** Repetitions of what takes long; the benchmark's own number when absent. */
  readonly runs: number | undefined;
}

export const usage = "usage: npm run -s bench -- NAME [--runs N] [--json]";

/** Reads the command line, or says everything that is wrong with it. */
export function readArguments(
  argv: readonly string[],
  known: readonly string[],
): { readonly ok: BenchArguments } | { readonly faults: readonly string[] } {
  const { values, positionals, tokens } = parseArgs({
    args: [...argv],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: { json: { type: "boolean" }, runs: { type: "string" } },
  });
  const faults: string[] = [];
  for (const token of tokens)
    if (token.kind === "option" && token.name !== "json" && token.name !== "runs")
      faults.push(`unknown option ${token.rawName}`);
  const list = known.join(", ");
  const [name, ...more] = positionals;
  if (name === undefined) faults.push(`a name is missing. The benchmarks are: ${list}`);
  else if (!known.includes(name)) faults.push(`unknown benchmark "${name}". The benchmarks are: ${list}`);
  for (const extra of more) faults.push(`unknown argument "${extra}"`);
  const runs = values.runs === undefined ? undefined : Number(values.runs === true ? Number.NaN : values.runs);
  if (runs !== undefined && !(Number.isInteger(runs) && runs >= 1 && runs <= 100))
    faults.push(`--runs is ${String(values.runs)}; give a whole number from 1 to 100`);
  if (faults.length > 0 || name === undefined) return { faults };
  return { ok: { name, json: values.json === true, runs } };
}
