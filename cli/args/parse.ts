import { parseArgs } from "node:util";
import { type CommandSpec, commands, commonOptions, groups } from "./commands.ts";
import { nearest } from "./nearest.ts";
import { agentOfStack, stackProblem } from "./stacks.ts";

/** What a command is given: already checked. */
export interface Invocation {
  readonly command: string;
  readonly positionals: readonly string[];
  readonly target: "lab" | "real";
  readonly json: boolean;
  readonly yes: boolean;
  readonly dryRun: boolean;
  readonly once: boolean;
  /** @default false */
  readonly evening?: boolean;
  readonly skipPreflight: boolean;
  /** Ids, or `all`. */
  readonly unprotect: readonly string[];
  readonly only: readonly string[];
  /** Options that only their own command understands, as they were written. */
  readonly values: Readonly<Record<string, string>>;
  readonly flags: readonly string[];
}

export type Parsed =
  | { readonly kind: "run"; readonly invocation: Invocation }
  | { readonly kind: "help"; readonly command?: string }
  | { readonly kind: "version" }
  | { readonly kind: "usage"; readonly problems: readonly string[]; readonly command?: string };

const meant = (word: string, known: readonly string[]): string => {
  const found = nearest(word, known);
  return found === undefined ? "" : `; did you mean ${found}?`;
};

const list = (text: string | undefined): string[] =>
  (text ?? "")
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");

/** Reads a command line (without node and script). Total: every mistake is in the answer, none is thrown. */
export function parseCommandLine(argv: readonly string[]): Parsed {
  const [first, ...rest] = argv;
  if (first === undefined || first === "--help" || first === "-h") return { kind: "help" };
  if (first === "help") {
    const named = [rest.slice(0, 2).join(" "), rest[0] ?? ""].find(
      (name) => Object.hasOwn(groups, name) || commands.some((command) => command.name === name),
    );
    return named === undefined ? { kind: "help" } : { kind: "help", command: named };
  }
  if (first === "--version" || first === "-v") return { kind: "version" };
  if (Object.hasOwn(groups, first)) return parseGroup(first, rest);
  const spec = commands.find((command) => command.name === first);
  if (spec === undefined) {
    const names = [...commands.map((command) => command.name), ...Object.keys(groups)];
    const what = first.startsWith("-") ? `option ${first} before a command` : `command "${first}"`;
    return { kind: "usage", problems: [`unknown ${what}${meant(first, names)}`] };
  }
  return parseCommand(spec, rest);
}

function parseGroup(group: string, argv: readonly string[]): Parsed {
  const [word, ...rest] = argv;
  if (word === "--help" || word === "-h") return { kind: "help", command: group };
  const names = commands.flatMap(({ name }) => (name.startsWith(`${group} `) ? [name.slice(group.length + 1)] : []));
  const known = `known: ${names.join(", ")}`;
  if (word === undefined)
    return { kind: "usage", problems: [`hive ${group} needs a command; ${known}`], command: group };
  const spec = commands.find(({ name }) => name === `${group} ${word}`);
  if (spec !== undefined) return parseCommand(spec, rest);
  const problem = `hive ${group} does not know "${word}"; ${known}${meant(word, names)}`;
  return { kind: "usage", problems: [problem], command: group };
}

function parseCommand(spec: CommandSpec, argv: readonly string[]): Parsed {
  const known = [...spec.options, ...commonOptions];
  const problems: string[] = [];
  const flags = new Set<string>();
  const values = new Map<string, string>();
  const positionals: string[] = [];
  const { tokens } = parseArgs({
    args: [...argv],
    options: Object.fromEntries(
      known.map((option) => [option.name, { type: option.value === undefined ? "boolean" : "string" } as const]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    if (token.name === "h") {
      flags.add("help");
      continue;
    }
    const option = known.find((candidate) => candidate.name === token.name);
    if (option === undefined) {
      const names = known.map((candidate) => `--${candidate.name}`);
      problems.push(`unknown option ${token.rawName} of hive ${spec.name}${meant(`--${token.name}`, names)}`);
    } else if (option.value === undefined) {
      if (token.value !== undefined) problems.push(`--${option.name} takes no value`);
      flags.add(option.name);
    } else if (token.value === undefined || token.value === "" || token.value.startsWith("--")) {
      problems.push(`--${option.name} needs a value: ${option.value}`);
    } else values.set(option.name, token.value);
  }
  if (flags.has("help")) return { kind: "help", command: spec.name };
  const target = values.get("target") ?? "lab";
  if (target !== "lab" && target !== "real")
    problems.push(`--target is ${target}; allowed: lab, real${meant(target, ["lab", "real"])}`);
  const surplus = positionals.slice(spec.positionals.length);
  if (surplus.length > 0) problems.push(`hive ${spec.name} does not take: ${surplus.join(" ")}`);
  const chosen = positionals[0];
  if (chosen !== undefined && spec.choices !== undefined && !spec.choices.includes(chosen))
    problems.push(
      `hive ${spec.name} does not know "${chosen}"; known: ${spec.choices.join(", ")}${meant(chosen, spec.choices)}`,
    );
  const missing = spec.positionals.slice(positionals.length).filter((name) => name === name.toUpperCase());
  if (missing.length > 0) problems.push(`hive ${spec.name} needs ${missing.join(" ")}`);
  const wrongStack = chosen === undefined || spec.stacks === undefined ? undefined : stackProblem(chosen, spec.stacks);
  if (wrongStack !== undefined) problems.push(`hive ${spec.name} ${wrongStack}`);
  if (values.has("unprotect") && agentOfStack(chosen ?? "") !== undefined)
    problems.push("--unprotect: nothing of an agent is protected; leave it out");
  if (flags.has("once") && flags.has("evening")) problems.push("--evening takes minutes; leave out --once");
  problems.push(...listProblems(values, target));
  if (problems.length > 0) return { kind: "usage", problems, command: spec.name };
  return {
    kind: "run",
    invocation: {
      command: spec.name,
      positionals,
      target: target === "real" ? "real" : "lab",
      json: flags.has("json"),
      yes: flags.has("yes"),
      dryRun: flags.has("dry-run"),
      once: flags.has("once"),
      evening: flags.has("evening"),
      skipPreflight: flags.has("skip-preflight"),
      unprotect: list(values.get("unprotect")),
      only: list(values.get("only")),
      values: Object.fromEntries(values),
      flags: [...flags],
    },
  };
}

function listProblems(values: ReadonlyMap<string, string>, target: string): string[] {
  const problems: string[] = [];
  const ids = list(values.get("unprotect"));
  for (const id of ids)
    if (id !== "all" && !/^[1-9]\d{2,8}$/.test(id))
      problems.push(`--unprotect: "${id}" is not a guest id; give ids, for example 100,200,400`);
  if (ids.includes("all") && target === "real")
    problems.push("--unprotect all is for the lab; on a real host name the guests, for example 100,200,400");
  return problems;
}
