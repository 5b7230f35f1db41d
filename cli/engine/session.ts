import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import {
  type EngineEvent,
  LocalWorkspace,
  type OutputMap,
  PulumiCommand,
  type PulumiFn,
  type Stack,
} from "@pulumi/pulumi/automation/index.js";
import { CommandFailure } from "../output/failure.ts";
import { progress as tell } from "../output/terminal.ts";
import { engineEnvironment } from "../targets/environment.ts";
import type { Target } from "../targets/target.ts";
import type { Interrupts } from "./interrupt.ts";
import { plainText } from "./plainText.ts";
import { EngineError, type EngineExit, runEngine } from "./process.ts";
import { type Progress, advance, noProgress, stillRunning } from "./progress.ts";
import { writeSettings } from "./settings.ts";

export interface SessionOptions {
  readonly target: Target;
  /** The engine's executable and the toolchain's variables. */
  readonly engine: { readonly file: string; readonly env: Readonly<Record<string, string>> };
  readonly program: PulumiFn;
  /** Folders of policy packs that preview and up must pass. */
  readonly policyPacks: readonly string[];
  readonly interrupts?: Interrupts | undefined;
  /** Whether a stack that is not there is made; `true` unless said. */
  readonly create?: boolean | undefined;
}

/** How a run of the engine ended, with all that its events told. */
export interface Outcome {
  readonly succeeded: boolean;
  readonly progress: Progress;
  /** The engine's own last words when it failed without an event that tells why. */
  readonly message?: string | undefined;
  readonly events: readonly EngineEvent[];
  /** The stack's outputs after an `up` that succeeded. */
  readonly outputs?: OutputMap | undefined;
}

/** A deployment as `pulumi stack export` gives it: secrets stay encrypted. */
export interface Deployment {
  readonly version: number;
  readonly deployment: Readonly<Record<string, unknown>>;
}

type Operation = "up" | "preview" | "destroy" | "refresh";

export interface RunOptions {
  readonly refresh?: boolean;
  /** URNs to work on alone. */
  readonly target?: readonly string[];
}

/** One stack, opened for work through the Automation API. */
export interface Session {
  readonly target: Target;
  run(operation: Operation, options?: RunOptions): Promise<Outcome>;
  outputs(): Promise<OutputMap>;
  exportState(): Promise<Deployment>;
  importState(deployment: Deployment): Promise<void>;
  /** Any other engine command on this stack. @throws EngineError */
  engine(args: readonly string[], input?: string): Promise<EngineExit>;
}

/**
 * Opens a stack with its settings in step; it is created when it is not there and may be.
 * @throws CommandFailure when it is not there and may not be created
 */
export async function openSession(options: SessionOptions): Promise<Session> {
  const { target, interrupts } = options;
  const env: Record<string, string> = {
    ...engineEnvironment(target, options.engine.env, homedir()),
    PULUMI_AUTOMATION_API: "true",
  };
  process.env["PATH"] = env["PATH"];

  const start = (
    args: readonly string[],
    more: {
      input?: string;
      onOutput?: (text: string) => void;
      onError?: (text: string) => void;
      env?: Readonly<Record<string, string>>;
    } = {},
  ): Promise<EngineExit> =>
    runEngine({
      file: options.engine.file,
      args: args.includes("--non-interactive") ? args : [...args, "--non-interactive"],
      cwd: target.workDir,
      ...more,
      env: { ...env, ...more.env },
      cancel: interrupts?.cancel,
      kill: interrupts?.kill,
    });
  const engine = async (args: readonly string[], input?: string): Promise<EngineExit> => {
    const exit = await start(args, input === undefined ? {} : { input });
    if (exit.code !== 0) throw new EngineError(`pulumi ${args.slice(0, 2).join(" ")}`, exit);
    return exit;
  };

  const base = await atHome(env["PULUMI_HOME"], () => PulumiCommand.get());
  const command = {
    command: options.engine.file,
    version: base.version,
    async run(
      args: string[],
      _cwd: string,
      extra: Record<string, string>,
      onOutput?: (text: string) => void,
      onError?: (text: string) => void,
    ): Promise<EngineExit> {
      const exit = await start(args, { env: extra, ...(onOutput && { onOutput }), ...(onError && { onError }) });
      if (exit.code !== 0) throw new EngineError(`pulumi ${args[0] ?? ""}`, exit);
      return exit;
    },
  };
  const select = (): Promise<Stack> =>
    LocalWorkspace.selectStack(
      { stackName: target.stack, projectName: target.project, program: options.program },
      { workDir: target.workDir, pulumiCommand: command, envVars: {} },
    );
  let stack: Stack;
  try {
    stack = await select();
  } catch (error) {
    if (!(error instanceof EngineError) || !/no stack named/.test(error.message)) throw error;
    if (options.create === false)
      throw new CommandFailure(
        `stack ${target.stack} does not exist in this backend; run pulumi stack init ${target.stack}`,
      );
    await engine([
      "stack",
      "init",
      target.stack,
      ...(target.kind === "lab" ? ["--secrets-provider", "passphrase"] : []),
    ]).catch((failure: unknown) => {
      // Another command has made it at the same moment.
      if (!(failure instanceof EngineError) || !/already exists/.test(failure.message)) throw failure;
    });
    stack = await select();
  }
  await writeSettings(target, async (key, value) => {
    await engine(["config", "set", key, "--secret", "--stack", target.stack], value);
  });

  return {
    target,
    engine,
    run: (operation, run = {}) => runOperation(stack, operation, run, options),
    outputs: () => stack.outputs(),
    exportState: async () => decodeDeployment((await engine(["stack", "export", "--stack", target.stack])).stdout),
    importState: async (deployment) => {
      const folder = mkdtempSync(join(tmpdir(), "hive-state-"));
      try {
        const file = join(folder, "state.json");
        writeFileSync(file, JSON.stringify(deployment), { mode: 0o600 });
        await engine(["stack", "import", "--file", file, "--stack", target.stack]);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  };
}

function decodeDeployment(text: string): Deployment {
  const content: unknown = JSON.parse(text);
  if (typeof content === "object" && content !== null && "version" in content && "deployment" in content) {
    const { version, deployment } = content;
    if (typeof version === "number" && typeof deployment === "object" && deployment !== null)
      return { version, deployment: { ...deployment } };
  }
  throw new Error("the engine exported a state that this version does not know");
}

/** Every how many seconds a long operation is mentioned again. */
const beatSec = 10;

async function runOperation(
  stack: Stack,
  operation: Operation,
  run: RunOptions,
  options: SessionOptions,
): Promise<Outcome> {
  let progress = noProgress;
  const events: EngineEvent[] = [];
  const onEvent = (event: EngineEvent): void => {
    events.push(event);
    const next = advance(progress, event);
    progress = next.progress;
    for (const line of next.lines) tell(line);
  };
  const beat = setInterval(() => {
    for (const line of stillRunning(progress, Date.now() / 1000, beatSec)) tell(line);
  }, beatSec * 1000);
  const common = {
    onEvent,
    color: "never" as const,
    suppressOutputs: true,
    suppressProgress: true,
    ...(run.refresh === true ? { refresh: true } : {}),
    ...(run.target === undefined ? {} : { target: [...run.target] }),
  };
  const packs = options.policyPacks.length === 0 ? {} : { policyPacks: [...options.policyPacks] };
  try {
    let outputs: OutputMap | undefined;
    // It has read the outputs already: asking again would start the engine twice more.
    if (operation === "up") ({ outputs } = await stack.up({ ...common, ...packs }));
    else if (operation === "preview") await stack.preview({ ...common, ...packs });
    else if (operation === "destroy") await stack.destroy(common);
    else await stack.refresh(common);
    return { succeeded: true, progress, events, outputs };
  } catch (error) {
    return {
      succeeded: false,
      progress,
      events,
      message: plainText(error instanceof Error ? error.message : String(error)),
    };
  } finally {
    clearInterval(beat);
  }
}

/** The SDK asks the engine for its version with this process's environment; its logs then go to where ours go. */
async function atHome<T>(home: string | undefined, ask: () => Promise<T>): Promise<T> {
  const before = process.env["PULUMI_HOME"];
  if (home === undefined) return ask();
  process.env["PULUMI_HOME"] = home;
  try {
    return await ask();
  } finally {
    if (before === undefined) delete process.env["PULUMI_HOME"];
    else process.env["PULUMI_HOME"] = before;
  }
}
