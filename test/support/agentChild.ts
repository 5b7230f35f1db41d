/** Runs parts of the agent in a process of their own, which may then be killed. */
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "../..");

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  /** Ends when stdout holds this text. */
  said(text: string): Promise<void>;
  readonly ended: Promise<Ended>;
}

/** Starts a program; it is killed when the test's process ends. */
export function start(file: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Running {
  const child = spawn(file, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  const told = { stdout: "", stderr: "" };
  const waiting = new Set<() => void>();
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    told.stdout += text;
    for (const look of waiting) look();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (told.stderr += text));
  const orphan = (): boolean => child.kill("SIGKILL");
  process.once("exit", orphan);
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      process.off("exit", orphan);
      resolve({ code, signal, ...told });
    });
  });
  const said = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (told.stdout.includes(text)) resolve();
      };
      waiting.add(look);
      look();
      void ended.then(() => reject(new Error(`ended before it said ${text}: ${told.stdout}${told.stderr}`)));
    });
  return { child, said, ended };
}

/** Runs ES module source in a Node of its own; `/shared/` in it means the agent's shared folder. */
export function startSource(source: string, env: NodeJS.ProcessEnv = {}): Running {
  const code = source.replaceAll('"/shared/', `"${path.join(root, "runtime-agent/src/shared")}/`);
  return start(process.execPath, ["--input-type=module", "-e", code], { ...process.env, ...env });
}

/** A folder that goes with the test. */
export async function temporaryFolder(): Promise<{ readonly folder: string } & AsyncDisposable> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "hive-agent-"));
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}
