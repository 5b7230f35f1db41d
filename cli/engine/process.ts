import { spawn } from "node:child_process";

/** How an engine process ended. */
export interface EngineExit {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

/** The engine ended with an error; the message is what it said. */
export class EngineError extends Error {
  override readonly name = "EngineError";
  readonly exit: EngineExit;

  constructor(what: string, exit: EngineExit) {
    const said = (exit.stderr.trim() || exit.stdout.trim()).replace(/^error: /gm, "");
    super(said === "" ? `${what} ended with status ${String(exit.code)}` : said);
    this.exit = exit;
  }
}

export interface EngineRun {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** The whole environment of the process: nothing is inherited beside it. */
  readonly env: Readonly<Record<string, string>>;
  /** Given on standard input: where secrets go, for a command line is visible to every user of the machine. */
  readonly input?: string | undefined;
  readonly onOutput?: ((text: string) => void) | undefined;
  readonly onError?: ((text: string) => void) | undefined;
  /** First abort: the engine is asked to stop (SIGINT), and ends what it has begun. */
  readonly cancel?: AbortSignal | undefined;
  /** Abort: the engine and its plugins are killed. */
  readonly kill?: AbortSignal | undefined;
}

/**
 * Runs the engine in a process group of its own, so that a terminal's Ctrl-C reaches this process alone, which then
 * passes on exactly one request to stop.
 */
export async function runEngine(run: EngineRun): Promise<EngineExit> {
  const child = spawn(run.file, [...run.args], {
    cwd: run.cwd,
    env: run.env,
    detached: true,
    stdio: [run.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    run.onOutput?.(text);
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    run.onError?.(text);
  });
  if (run.input !== undefined) {
    // An engine that dies before it reads is reported by its status.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(run.input);
  }
  const stop = (): void => {
    child.kill("SIGINT");
  };
  const kill = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // The group has ended by itself.
    }
  };
  run.cancel?.addEventListener("abort", stop, { once: true });
  run.kill?.addEventListener("abort", kill, { once: true });
  if (run.cancel?.aborted === true) stop();
  try {
    const code = await new Promise<number>((done, fail) => {
      child.on("error", fail);
      child.on("close", (status, signal) => {
        done(status ?? (signal === "SIGINT" ? 130 : 137));
      });
    });
    return { stdout, stderr, code };
  } finally {
    run.cancel?.removeEventListener("abort", stop);
    run.kill?.removeEventListener("abort", kill);
  }
}
