/** A lab in a folder of its own, and the commands that people run on it, each as a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { parseGenesisConfig } from "../../components/shared/genesisConfig.ts";
import { type GenesisPlan, planGenesis } from "../../components/shared/genesisPlan.ts";
import type { GenesisSettings } from "../../components/shared/genesisSettings.ts";
import { SecretText } from "../../components/shared/secretText.ts";
import { projectRoot } from "../../cli/setup/paths.ts";
import { type Toolchain, ToolchainUnavailable, ensureToolchain } from "../../cli/setup/toolchain.ts";
import { labTarget } from "../../cli/targets/lab.ts";
import { type StateFolder, labStateFolder, prepareStateFolder } from "../../cli/targets/stateFolder.ts";
import type { Target } from "../../cli/targets/target.ts";
import { type LabInfo, hostRootFolder, startLabProcess, stopLabProcess } from "../../lab/index.ts";
import { skip } from "../run/skip.ts";
import { type HostSnapshot, takeHostSnapshot } from "./hostSnapshot.ts";
import { LabClient } from "./lab-client.ts";

export interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Estate {
  readonly folder: StateFolder;
  readonly info: LabInfo;
  readonly client: LabClient;
  /** Project, stack, settings and environment as the command line prepares them for the lab. */
  readonly target: () => Target;
  /** The command line: `node cli/main.ts …`. */
  readonly hive: (...args: string[]) => Promise<Run>;
  /** The engine itself, with a language host that runs the project's program. */
  readonly pulumi: (...args: string[]) => Promise<Run>;
  readonly snapshot: () => Promise<HostSnapshot>;
  /** Lines of the lab's traffic so far. */
  readonly traffic: () => readonly string[];
  readonly close: () => Promise<void>;
}

/** The whole toolchain, or the test (or suite, in a hook) skipped with what is missing. */
export async function toolchainOrSkip(context: Mocha.Context): Promise<Toolchain> {
  try {
    return await ensureToolchain({
      need: ["engine", "proxmoxve", "command", "analyzer", "langhost"],
      progress: () => undefined,
    });
  } catch (error) {
    if (error instanceof ToolchainUnavailable) return skip(context, error.message);
    throw error;
  }
}

/** Longest that one command may take before the test gives it up as hanging. */
const hangSec = 300;

function collect(child: ChildProcess): Promise<Run> {
  let [stdout, stderr] = ["", ""];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    const hang = setTimeout(() => child.kill("SIGKILL"), hangSec * 1000);
    child.once("error", reject);
    child.once("close", (status) => {
      clearTimeout(hang);
      resolve({ status, stdout, stderr });
    });
  });
}

/** Starts a lab with the traffic recorded. `prepare` may put files into the folder before. */
export async function openEstate(
  toolchain: Toolchain,
  options: {
    readonly fixture?: "fresh" | "occupied";
    readonly prepare?: (folder: StateFolder) => void;
  } = {},
): Promise<Estate> {
  const root = mkdtempSync(join(tmpdir(), "hive-engine-"));
  const folder = labStateFolder({ HIVE_STATE_DIR: root });
  prepareStateFolder(folder);
  options.prepare?.(folder);
  const info = await startLabProcess(folder.lab, {
    fixture: options.fixture ?? "fresh",
    taskDelayMs: 10,
    recordTraffic: true,
  });
  const start = (file: string, args: string[], cwd: string, env: NodeJS.ProcessEnv): Promise<Run> =>
    collect(spawn(file, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] }));
  const target = (): Target => labTarget("genesis", info, folder);
  return {
    folder,
    info,
    client: new LabClient({ ...info, port: Number(new URL(info.apiUrl).port) }),
    target,
    hive: (...args) =>
      start(process.execPath, [join(projectRoot, "cli/main.ts"), ...args], projectRoot, {
        ...process.env,
        HIVE_STATE_DIR: root,
      }),
    pulumi: (...args) => {
      const { env, workDir } = target();
      const home = env["PULUMI_HOME"] ?? "";
      const all = { ...env, ...toolchain.plainEnv, PULUMI_HOME: home };
      return start(toolchain.engine.path, [...args, "--non-interactive"], workDir, all);
    },
    snapshot: () => takeHostSnapshot(info, hostRootFolder(folder.lab)),
    traffic: () =>
      readFileSync(join(folder.lab, "traffic.jsonl"), "utf8")
        .split("\n")
        .filter((line) => line !== ""),
    close: async () => {
      await stopLabProcess(info);
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** The document that a command printed with `--json`. @throws Error with all it said when it ended otherwise */
export function documentOf(run: Run, status = 0): Record<string, unknown> {
  if (run.status !== status)
    throw new Error(`ended with ${String(run.status)}, not ${String(status)}:\n${run.stdout}\n${run.stderr}`);
  const content: unknown = JSON.parse(run.stdout);
  if (typeof content !== "object" || content === null) throw new Error(`no JSON object: ${run.stdout}`);
  return { ...content };
}

/** The settings that the lab's target writes, and the plan that follows from them. */
export function settingsOf(target: Target): { readonly settings: GenesisSettings; readonly plan: GenesisPlan } {
  const name = (key: string): string => key.slice(target.project.length + 1);
  const raw = Object.fromEntries([
    ...Object.entries(target.write?.plain ?? {}).map(([key, value]) => [name(key), value] as const),
    ...Object.entries(target.write?.secrets ?? {}).map(([key, value]) => [name(key), new SecretText(value)] as const),
  ]);
  const settings = valueOrThrow("the lab's settings", parseGenesisConfig(raw));
  return { settings, plan: valueOrThrow("the lab's plan", planGenesis(settings)) };
}
