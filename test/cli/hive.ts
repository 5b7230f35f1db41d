/** The command line as a person runs it, on a state folder of its own. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findLab, stopLabProcess } from "../../lab/index.ts";

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const entry = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

export class Hive {
  /** State of target lab; removed by {@link close}. */
  readonly folder = mkdtempSync(join(tmpdir(), "hive-cli-"));
  readonly lab = join(this.folder, "host");

  /** Runs one command to its end. */
  async run(args: readonly string[], env: Readonly<Record<string, string | undefined>> = {}): Promise<Ran> {
    const child = spawn(process.execPath, [entry, ...args], {
      env: { ...process.env, HIVE_STATE_DIR: this.folder, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const code = await new Promise<number>((done, fail) => {
      child.on("error", fail);
      child.on("close", (status) => {
        done(status ?? 137);
      });
    });
    return { code, stdout, stderr };
  }

  /** Stops the lab if one runs, and removes everything. */
  async close(): Promise<void> {
    const running = await findLab(this.lab);
    if (running !== undefined) await stopLabProcess(running);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The lines of a text that look like a stack frame: people are never shown one. */
export function stackFrames(text: string): string[] {
  return text.split("\n").filter((line) => /^\s+at .+[:(]\S*\d/.test(line) || /node:internal/.test(line));
}
