/**
 * `hive-agent`: one bundle, one role per host, chosen by the first argument. Nothing is loaded before it is needed: help
 * and mistakes are answered at once, and a GPU child never loads the rest.
 */
import { parseArgs } from "node:util";
import { nearestName } from "../../components/shared/nearestName.ts";
import { version } from "./shared/version.ts";

const help = `hive-agent ${version}

  hive-agent keeper --side arbiter|host [--config FILE] [--check]
                                  run the Keeper; --check only checks the configuration
  hive-agent doctor [--config FILE] [--json]
                                  what is in the way on this machine, and how to repair it
  hive-agent status [--watch] [--json] [--config FILE | --runtime DIR]
                                  what the running agent does
  hive-agent schema               JSON Schema of the configuration
  hive-agent version

  --config FILE   default /etc/hive-agent/keeper.yaml
  --help          this text

Exit status: 0 done, 1 failed, 64 wrong usage, 78 configuration refused.
`;

const usageError = 64;
const configRefused = 78;
const commands = ["keeper", "doctor", "status", "schema", "version", "help"];
const options = {
  keeper: ["side", "config", "check"],
  doctor: ["config", "json"],
  status: ["config", "json", "watch", "runtime"],
  schema: [],
  version: [],
} as const;
type Command = keyof typeof options;

const kinds = {
  side: { type: "string" },
  config: { type: "string" },
  runtime: { type: "string" },
  check: { type: "boolean" },
  json: { type: "boolean" },
  watch: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

interface Given {
  readonly side?: string | undefined;
  readonly config: string;
  readonly runtime?: string | undefined;
  readonly check: boolean;
  readonly json: boolean;
  readonly watch: boolean;
  readonly help: boolean;
}

class UsageError extends Error {}

/** What looks like a mistyped name gets the one that was probably meant. */
function unknown(what: string, name: string, known: readonly string[]): UsageError {
  const nearest = nearestName(name, known);
  return new UsageError(`unknown ${what} ${name}${nearest === undefined ? "" : `; did you mean ${nearest}?`}`);
}

function isCommand(name: string): name is Command {
  return name in options;
}

/** Reads the arguments of a command; every option that it does not have is an error. */
function readOptions(command: Command, argv: readonly string[]): Given {
  const { values, tokens } = parseArgs({
    args: [...argv],
    options: kinds,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const known: readonly string[] = [...options[command], "help"];
  for (const token of tokens) {
    if (token.kind === "positional") throw new UsageError(`unexpected ${token.value}`);
    if (token.kind !== "option") continue;
    if (!known.includes(token.name)) {
      throw unknown(
        "option",
        token.rawName,
        known.map((name) => `--${name}`),
      );
    }
    const wantsText = token.name === "side" || token.name === "config" || token.name === "runtime";
    if (wantsText !== (token.value !== undefined && token.value !== "")) {
      throw new UsageError(`${token.rawName} ${wantsText ? "needs a value" : "takes no value"}`);
    }
  }
  const text = (value: string | boolean | undefined): string | undefined =>
    typeof value === "string" ? value : undefined;
  return {
    side: text(values.side),
    config: text(values.config) ?? "/etc/hive-agent/keeper.yaml",
    runtime: text(values.runtime),
    check: values.check === true,
    json: values.json === true,
    watch: values.watch === true,
    help: values.help === true,
  };
}

async function keeper({ side, config: file, check }: Given): Promise<number> {
  if (side !== "arbiter" && side !== "host") throw new UsageError("keeper needs --side arbiter or --side host");
  const { loadKeeperConfig } = await import("./shared/config.ts");
  const { describeFault } = await import("../../components/shared/faults.ts");
  const checked = await loadKeeperConfig(file);
  const wrongSide =
    checked.ok && checked.value.side !== side
      ? [{ property: "side", value: checked.value.side, limit: `--side ${side}`, fix: "Start the other side." }]
      : [];
  if (!checked.ok || wrongSide.length > 0) {
    const faults = checked.ok ? wrongSide : checked.faults;
    process.stderr.write(`${file}: ${String(faults.length)} fault(s)\n`);
    for (const fault of faults) process.stderr.write(`  - ${describeFault(fault)}\n`);
    return configRefused;
  }
  if (check) {
    process.stdout.write(`${file}: no fault\n`);
    return 0;
  }
  const { runKeeper } = await import("./keeper/run.ts");
  return runKeeper({ side, config: checked.value, configFile: file });
}

async function run(command: Command, given: Given): Promise<number> {
  switch (command) {
    case "keeper":
      return keeper(given);
    case "doctor":
      return (await import("./shared/doctor/command.ts")).runDoctor(given);
    case "status":
      return (await import("./shared/status/command.ts")).runStatus(given);
    case "schema": {
      const { keeperJsonSchema } = await import("../../components/shared/agent/keeperConfig.ts");
      process.stdout.write(`${JSON.stringify(keeperJsonSchema(), undefined, 2)}\n`);
      return 0;
    }
    case "version":
      process.stdout.write(`${version}\n`);
      return 0;
  }
}

async function main(argv: readonly string[]): Promise<number | undefined> {
  const [name = "", ...rest] = argv;
  // Children of the agent itself; they end with their parent, never by returning.
  if (name === "gpu-child") {
    (await import("./keeper/gpu/gpuChild.ts")).runGpuChild(rest);
    return undefined;
  }
  if (name === "cuda-child") {
    (await import("./keeper/gpu/cudaChild.ts")).runCudaChild(rest);
    return undefined;
  }
  if (["", "help", "--help", "-h"].includes(name)) {
    (name === "" ? process.stderr : process.stdout).write(help);
    return name === "" ? usageError : 0;
  }
  if (name === "--version") return run("version", readOptions("version", []));
  try {
    if (!isCommand(name)) throw unknown(name.startsWith("-") ? "option" : "command", name, commands);
    const given = readOptions(name, rest);
    if (!given.help) return await run(name, given);
    process.stdout.write(help);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`hive-agent: ${error.message}\nSee hive-agent --help.\n`);
    return usageError;
  }
}

// A pipe whose reader has gone away (`status --watch | head`) is an ordinary end.
process.stdout.on("error", () => process.exit(0));
main(process.argv.slice(2)).then(
  (code) => {
    if (code !== undefined) process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`hive-agent: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exitCode = 1;
  },
);
