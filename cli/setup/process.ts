// Running the tools of the set-up: output bounded, a sign of life every ten seconds, an end when asked.
import { spawn } from "node:child_process";
import { constants, accessSync, statSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { endLeftover, noteChild } from "../bin/leftover.mjs";
import type { Environment } from "./paths.ts";

const keptOutput = 40_000;

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Environment;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds after which the tool is ended. */
  readonly timeoutMs?: number;
  /** Called about every ten seconds with the seconds since the start and the lines printed so far. */
  readonly onBeat?: (seconds: number, lines: number) => void;
  /** File that names the running process group, for the next run to end what a killed one left. */
  readonly childFile?: string;
}

export interface RunResult {
  /** Exit status; undefined when the tool did not start or was ended by a signal. */
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Why it did not end by itself, if it did not. */
  readonly fault: string | undefined;
}

/** The first executable file `name` on `path`, as an absolute path. */
export function findOnPath(name: string, path: string | undefined = process.env["PATH"]): string | undefined {
  for (const folder of (path ?? "").split(delimiter)) {
    if (!isAbsolute(folder)) continue;
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      if (statSync(file).isFile()) return file;
    } catch {
      // Not here: look in the next folder.
    }
  }
  return undefined;
}

/** Runs a tool in its own process group and returns how it ended; it never throws for the tool's own failure. */
export function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { signal, childFile } = options;
  signal?.throwIfAborted();
  const started = Date.now();
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: { ...(options.env ?? process.env) },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const pid = child.pid;
    if (childFile && pid) noteChild(childFile, pid);
    let stdout = "";
    let stderr = "";
    let lines = 0;
    let fault: string | undefined;
    const count = (text: string): void => {
      for (const character of text) if (character === "\n") lines++;
    };
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      count(text);
      stdout = (stdout + text).slice(-keptOutput);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      count(text);
      stderr = (stderr + text).slice(-keptOutput);
    });
    const end = (why: string): void => {
      fault ??= why;
      try {
        if (pid) process.kill(-pid, "SIGKILL");
      } catch {
        // It has ended already.
      }
    };
    const aborted = (): void => end("it was interrupted");
    const quit = (): void => end("this process ended");
    signal?.addEventListener("abort", aborted, { once: true });
    process.once("exit", quit);
    const timer = options.timeoutMs
      ? setTimeout(() => end(`it took longer than ${options.timeoutMs} ms`), options.timeoutMs)
      : undefined;
    const beat = setInterval(() => options.onBeat?.(Math.round((Date.now() - started) / 1000), lines), 10_000);
    const finish = (status: number | undefined): void => {
      clearTimeout(timer);
      clearInterval(beat);
      signal?.removeEventListener("abort", aborted);
      process.off("exit", quit);
      if (childFile) endLeftover(childFile);
      resolve({ status, stdout, stderr, fault });
    };
    child.on("error", (error) => {
      fault ??= error.message;
      finish(undefined);
    });
    child.on("close", (code) => finish(code ?? undefined));
  });
}
