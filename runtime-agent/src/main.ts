/**
 * `hive-agent`: one bundle, one role per host, chosen by the first argument. Nothing is loaded before it is needed: help
 * and mistakes are answered at once, and a GPU child never loads the rest.
 */
import { parseArgs } from "node:util";
import type { Fault } from "../../components/shared/faults.ts";
import { nearestName } from "../../components/shared/nearestName.ts";
import { version } from "./shared/version.ts";

const help = `hive-agent ${version}

  hive-agent keeper --side arbiter|host [--config FILE] [--check]
                                  run the Keeper; --check only checks the configuration
  hive-agent sentinel [--config FILE] [--check]
                                  run the Sentinel: signals to heavy agents, never their code
  hive-agent runner [--config FILE] [--check]
                                  run the agent of a throwaway server when it is asked for
  hive-agent nerve agent [--config FILE] [--check]
                                  run Nerve's part in a Pod: agent is its webhook
  hive-agent signal --name NAME [--runtime DIR]
                                  hand a signed signal on stdin to the runner of this machine
  hive-agent farewell [--runtime DIR]
                                  tell the Sentinel that this server is being taken down
  hive-agent doctor [--config FILE] [--json]
                                  what is in the way on this machine, and how to repair it
  hive-agent status [--watch] [--json] [--config FILE | --runtime DIR]
                                  what the running agent does
  hive-agent schema [--role keeper|sentinel|runner|nerve-agent]
                                  JSON Schema of the configuration
  hive-agent version

  --config FILE   default /etc/hive-agent/ROLE.yaml, of an arbiter beside the host side
                  /etc/hive-agent-arbiter/keeper.yaml, of Nerve's agent /etc/nerve/agent.yaml;
                  doctor and status take all that are there
  --help          this text

Exit status: 0 done, 1 failed, 64 wrong usage, 78 configuration refused.
`;

const usageError = 64;
const configRefused = 78;
const runnerRuntime = "/run/hive-agent/runner";
const options = {
  keeper: ["side", "config", "check"],
  sentinel: ["config", "check"],
  runner: ["config", "check"],
  nerve: ["config", "check"],
  signal: ["name", "runtime"],
  farewell: ["runtime"],
  doctor: ["config", "json"],
  status: ["config", "json", "watch", "runtime"],
  schema: ["role"],
  version: [],
} as const;
type Command = keyof typeof options;
/** What a command is of, by a word after it; the other commands have none. */
const parts: { readonly [name in Command]?: readonly string[] } = { nerve: ["agent"] };
const commands = [...Object.keys(options), "help"];

const kinds = {
  side: { type: "string" },
  config: { type: "string" },
  runtime: { type: "string" },
  name: { type: "string" },
  role: { type: "string" },
  check: { type: "boolean" },
  json: { type: "boolean" },
  watch: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

interface Given {
  readonly part?: string | undefined;
  readonly side?: string | undefined;
  readonly config?: string | undefined;
  readonly runtime?: string | undefined;
  readonly name?: string | undefined;
  readonly role?: string | undefined;
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
  let part: string | undefined;
  for (const token of tokens) {
    if (token.kind === "positional") {
      if (part !== undefined || parts[command] === undefined) throw new UsageError(`unexpected ${token.value}`);
      if (!parts[command].includes(token.value)) throw unknown(`part of ${command}`, token.value, parts[command]);
      part = token.value;
    }
    if (token.kind !== "option") continue;
    if (!known.includes(token.name)) {
      throw unknown(
        "option",
        token.rawName,
        known.map((name) => `--${name}`),
      );
    }
    const wantsText = ["side", "config", "runtime", "name", "role"].includes(token.name);
    if (wantsText !== (token.value !== undefined && token.value !== "")) {
      throw new UsageError(`${token.rawName} ${wantsText ? "needs a value" : "takes no value"}`);
    }
  }
  const text = (value: string | boolean | undefined): string | undefined =>
    typeof value === "string" ? value : undefined;
  return {
    part,
    side: text(values.side),
    config: text(values.config),
    runtime: text(values.runtime),
    name: text(values.name),
    role: text(values.role),
    check: values.check === true,
    json: values.json === true,
    watch: values.watch === true,
    help: values.help === true,
  };
}

/** Tells the faults of a configuration. */
async function refuse(file: string, faults: readonly Fault[]): Promise<number> {
  const { describeFault } = await import("../../components/shared/faults.ts");
  process.stderr.write(`${file}: ${String(faults.length)} fault(s)\n`);
  for (const fault of faults) process.stderr.write(`  - ${describeFault(fault)}\n`);
  return configRefused;
}

function faultless(file: string): number {
  process.stdout.write(`${file}: no fault\n`);
  return 0;
}

async function keeper({ side, config, check }: Given): Promise<number> {
  if (side !== "arbiter" && side !== "host") throw new UsageError("keeper needs --side arbiter or --side host");
  const { keeperConfigFile, loadKeeperConfig } = await import("./shared/config.ts");
  const file = config ?? (await keeperConfigFile(side));
  const checked = await loadKeeperConfig(file);
  if (!checked.ok) return refuse(file, checked.faults);
  const { side: configured } = checked.value;
  if (configured !== side) {
    const fix = "Start the other side.";
    return refuse(file, [{ property: "side", value: configured, limit: `--side ${side}`, fix }]);
  }
  if (check) return faultless(file);
  const { runKeeper } = await import("./keeper/run.ts");
  return runKeeper({ side, config: checked.value, configFile: file });
}

async function sentinel({ config, check }: Given): Promise<number> {
  const { configFileOf, loadSentinelConfig } = await import("./shared/config.ts");
  const file = config ?? configFileOf("sentinel");
  const checked = await loadSentinelConfig(file);
  if (!checked.ok) return refuse(file, checked.faults);
  if (check) return faultless(file);
  const { runSentinel } = await import("./sentinel/run.ts");
  return runSentinel({ config: checked.value, configFile: file });
}

async function runner({ config, check }: Given): Promise<number> {
  const { configFileOf, loadRunnerConfig } = await import("./shared/config.ts");
  const file = config ?? configFileOf("runner");
  const checked = await loadRunnerConfig(file);
  if (!checked.ok) return refuse(file, checked.faults);
  if (check) return faultless(file);
  const { runRunner } = await import("./runner/daemon.ts");
  return runRunner({ config: checked.value });
}

async function nerve({ part, config, check }: Given): Promise<number> {
  if (part === undefined) throw new UsageError("nerve needs a part: agent");
  const { loadNerveAgentConfig } = await import("./shared/config.ts");
  const file = config ?? (await import("../../components/shared/nerve/agentConfig.ts")).nerveAgentConfigFile;
  const checked = await loadNerveAgentConfig(file);
  if (!checked.ok) return refuse(file, checked.faults);
  if (check) return faultless(file);
  const { runNerveAgent } = await import("./nerve/agent.ts");
  return runNerveAgent(checked.value);
}

async function schema({ role = "keeper" }: Given): Promise<number> {
  const { configured, roleSchema } = await import("./shared/roleSchema.ts");
  const known = configured.find((one) => one === role);
  if (known === undefined) throw unknown("role", role, configured);
  process.stdout.write(`${JSON.stringify(await roleSchema(known), undefined, 2)}\n`);
  return 0;
}

/** The runner of this machine; `--name` is what its callers write, and it checks that itself. */
async function signal({ name, runtime = runnerRuntime }: Given): Promise<number> {
  if (name === undefined) throw new UsageError("signal needs --name NAME");
  return (await import("./runner/signalCommand.ts")).runSignalCommand({ runtime });
}

async function farewell({ runtime = runnerRuntime }: Given): Promise<number> {
  return (await import("./runner/farewellCommand.ts")).runFarewellCommand({ runtime });
}

async function run(command: Command, given: Given): Promise<number> {
  switch (command) {
    case "keeper":
      return keeper(given);
    case "sentinel":
      return sentinel(given);
    case "runner":
      return runner(given);
    case "nerve":
      return nerve(given);
    case "signal":
      return signal(given);
    case "farewell":
      return farewell(given);
    case "doctor":
      return (await import("./shared/doctor/command.ts")).runDoctor({ ...given, configs: await configsOf(given) });
    case "status":
      return (await import("./shared/status/command.ts")).runStatus({ ...given, configs: await configsOf(given) });
    case "schema":
      return schema(given);
    case "version":
      process.stdout.write(`${version}\n`);
      return 0;
  }
}

async function configsOf({ config }: Given): Promise<readonly string[]> {
  return config === undefined ? (await import("./shared/config.ts")).installedConfigFiles() : [config];
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
