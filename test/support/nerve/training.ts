/** The training of train.py as a real process, and what one sees of it from outside. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { projectRoot } from "../../../cli/setup/paths.ts";
import type { Python } from "./debianTorch.ts";

export const helper = join(projectRoot, "components", "nerve", "python");
const script = join(import.meta.dirname, "train.py");
/** Hang guard of one wait. */
const longMs = 60_000;

export class Training {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #ended: Promise<unknown>;
  readonly #waiting = new Set<() => void>();

  constructor(python: Python, env: Readonly<Record<string, string>>) {
    const path = [helper, python.env["PYTHONPATH"]].filter((folder) => folder !== undefined).join(":");
    // Nothing of this machine's own keys and settings.
    const own = { PATH: process.env["PATH"] ?? "", OMP_NUM_THREADS: "1", PYTHONDONTWRITEBYTECODE: "1" };
    const all = { ...own, NERVE_CHECKPOINT_PORT: "0", ...python.env, ...env, PYTHONPATH: path };
    this.#child = spawn(python.file, [script], { env: all, stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stdin?.on("error", () => undefined);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      assert.ok(stream);
      createInterface(stream).on("line", (line) => {
        this.#lines.push(line);
        for (const look of this.#waiting) look();
      });
    }
    this.#ended = once(this.#child, "close").then(() => {
      for (const look of this.#waiting) look();
    });
  }

  /** The first and last lines that it said, for messages of failures. */
  text(): string {
    const [first, last] = [this.#lines.slice(0, 8), this.#lines.slice(8).slice(-12)];
    return [...first, "…", ...last].join("\n");
  }

  /** The first group of the first line that matches, once there is one. */
  async said(pattern: RegExp): Promise<string> {
    const find = (): RegExpExecArray | undefined => {
      for (const line of this.#lines) {
        const found = pattern.exec(line);
        if (found) return found;
      }
      return undefined;
    };
    const found = await new Promise<RegExpExecArray | undefined>((resolve) => {
      const end = (value: RegExpExecArray | undefined): void => {
        clearTimeout(guard);
        this.#waiting.delete(look);
        resolve(value);
      };
      const guard = setTimeout(() => end(undefined), longMs);
      const look = (): void => {
        const now = find();
        if (now !== undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) end(now);
      };
      this.#waiting.add(look);
      look();
    });
    assert.ok(found, `never said ${String(pattern)}:\n${this.text()}`);
    return found[1] ?? found[0];
  }

  /** Lets it go on from where it paused. */
  goOn(): void {
    this.#child.stdin?.write("\n");
  }

  kill(signal: "SIGTERM" | "SIGKILL"): void {
    this.#child.kill(signal);
  }

  /** Waits for its end. @returns exit status, or the signal's name */
  async end(): Promise<number | string> {
    await this.#ended;
    return this.#child.exitCode ?? this.#child.signalCode ?? "";
  }

  /** The last step whose work was done, by its own word. */
  lastStep(): number {
    return Number(this.#lines.findLast((line) => /^(?:step|resumed) \d+$/.test(line))?.split(" ")[1] ?? -1);
  }

  /** How many of its lines match. */
  count(pattern: RegExp): number {
    return this.#lines.filter((line) => pattern.test(line)).length;
  }

  /** Calls its `POST /checkpoint`. */
  async post(init: RequestInit = {}, path = "/checkpoint"): Promise<{ status: number; body: unknown }> {
    const port = await this.said(/^listening on 127\.0\.0\.1:(\d+)$/);
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method: "POST", ...init });
    return { status: answer.status, body: await answer.json() };
  }
}
