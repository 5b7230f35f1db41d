/** A program run to its end: no longer than its deadline, and with bounded output. */
import { spawn } from "node:child_process";

export interface ChildOptions {
  /** Then it is killed, ms. */
  readonly deadlineMs: number;
  /** Output beyond this is passed over, bytes. */
  readonly mostBytes: number;
  /** Output to pass over at its begin, bytes. @default 0 */
  readonly skipBytes?: number;
  /** Whether the end of the output is kept, not its begin. @default false */
  readonly tail?: boolean;
}

export interface ChildEnd {
  /** Exit status; null when it was killed or could not be started. */
  readonly code: number | null;
  readonly stdout: Buffer;
  /** What it said on stderr, or why it could not be started; at most 2000 characters. */
  readonly stderr: string;
  /** Whether the output goes on beyond what is here. */
  readonly cut: boolean;
}

/** Runs a program without a shell, in the C locale. Never throws. */
export function runChild(program: string, args: readonly string[], options: ChildOptions): Promise<ChildEnd> {
  const { deadlineMs, mostBytes, skipBytes = 0, tail = false } = options;
  return new Promise((resolve) => {
    const child = spawn(program, [...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, LC_ALL: "C", SYSTEMD_COLORS: "0", SYSTEMD_PAGER: "" },
    });
    let skip = skipBytes;
    let kept = Buffer.alloc(0);
    let cut = false;
    let stderr = "";
    const kill = (): void => {
      child.kill("SIGKILL");
      // What it may have started itself holds the pipes, and is not waited for.
      child.stdout.destroy();
      child.stderr.destroy();
    };
    const guard = setTimeout(() => {
      stderr = `no answer within ${String(deadlineMs)} ms`;
      kill();
    }, deadlineMs);
    child.stdout.on("data", (chunk: Buffer) => {
      const rest = chunk.subarray(Math.min(skip, chunk.length));
      skip -= chunk.length - rest.length;
      const all = Buffer.concat([kept, rest]);
      cut ||= all.length > mostBytes;
      kept = Buffer.from(tail ? all.subarray(Math.max(0, all.length - mostBytes)) : all.subarray(0, mostBytes));
      if (cut && !tail) kill();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      if (stderr.length < 2000) stderr = (stderr + chunk.toString("utf8")).slice(0, 2000);
    });
    const end = (code: number | null): void => {
      clearTimeout(guard);
      resolve({ code, stdout: kept, stderr: stderr.trim(), cut });
    };
    child.once("error", (error) => {
      stderr = error.message;
      end(null);
    });
    child.once("close", end);
  });
}
