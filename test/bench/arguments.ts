import { parseArgs } from "node:util";

export interface BenchArguments {
  readonly name: string;
  readonly json: boolean;
  /** Repetitions of what takes long; the benchmark's own when absent. */
  readonly runs: number | undefined;
  /** Repetitions of what is short; the benchmark's own when absent. */
  readonly count: number | undefined;
  /** CSV file of carbon intensity for `carbon`; the benchmark's own when absent. */
  readonly series: string | undefined;
  /** Folder of recorded spot traces for `spot`, which needs one. */
  readonly traces: string | undefined;
}

export const usage = "usage: npm run -s bench -- NAME [--runs N] [--count N] [--series FILE] [--traces DIR] [--json]";

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
    options: {
      json: { type: "boolean" },
      runs: { type: "string" },
      count: { type: "string" },
      series: { type: "string" },
      traces: { type: "string" },
    },
  });
  const faults: string[] = [];
  for (const token of tokens)
    if (token.kind === "option" && !["json", "runs", "count", "series", "traces"].includes(token.name))
      faults.push(`unknown option ${token.rawName}`);
  const list = known.join(", ");
  const [name, ...more] = positionals;
  if (name === undefined) faults.push(`a name is missing. The benchmarks are: ${list}`);
  else if (!known.includes(name)) faults.push(`unknown benchmark "${name}". The benchmarks are: ${list}`);
  for (const extra of more) faults.push(`unknown argument "${extra}"`);
  const number = (option: "runs" | "count", most: number): number | undefined => {
    const given = values[option];
    const value = given === undefined ? undefined : Number(given === true ? Number.NaN : given);
    if (value !== undefined && !(Number.isInteger(value) && value >= 1 && value <= most))
      faults.push(`--${option} is ${String(given)}; give a whole number from 1 to ${String(most)}`);
    return value;
  };
  const path = (option: "series" | "traces", what: string, owner: string): string | undefined => {
    const given = values[option];
    if (given === true || given === "") faults.push(`--${option} needs the name of a ${what}`);
    else if (typeof given === "string" && name !== owner) faults.push(`--${option} is for benchmark ${owner}`);
    return typeof given === "string" ? given : undefined;
  };
  const series = path("series", "file", "carbon");
  const traces = path("traces", "folder", "spot");
  const [runs, count] = [number("runs", 100), number("count", 100_000)];
  if (faults.length > 0 || name === undefined) return { faults };
  return { ok: { name, json: values.json === true, runs, count, series, traces } };
}
