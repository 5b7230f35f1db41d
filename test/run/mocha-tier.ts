// Runs the test files of one folder in a process of their own.
import { fork } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { exitFlag } from "../../cli/bin/exit.mjs";
import { filesBelow } from "../../cli/setup/hashing.ts";
import type { ChildMessage } from "./mocha-child.ts";
import type { Outcome } from "./outcome.ts";

export interface MochaOptions {
  readonly root: string;
  readonly folder: string;
  readonly files: readonly string[];
  readonly timeoutSec: number;
  /** Only tests whose full title holds this text; all when empty. */
  readonly grep: string;
  /** File descriptor that takes what the tests print. */
  readonly printTo: 1 | 2;
  /** Put over the environment of this process. */
  readonly env: Readonly<Record<string, string>>;
  readonly onOutcome: (outcome: Outcome) => void;
}

/** How long a process that has ended its tests may take to exit, ms. */
const exitMs = 30_000;

export async function testFiles(root: string, folder: string): Promise<string[]> {
  if (!existsSync(join(root, folder))) return [];
  return (await filesBelow(join(root, folder)))
    .filter((file) => file.endsWith(".test.ts"))
    .map((file) => join(root, folder, file));
}

/** Runs some of a folder's test files in one process. A crash, and a run in which no test ran, are failures like any other. */
export async function runMocha(options: MochaOptions): Promise<void> {
  const { files } = options;
  const failed = (title: string, detail: string): void => options.onOutcome({ kind: "failed", title, detail });
  if (files.length === 0) return failed(options.folder, `no test ran: there is no *.test.ts file in ${options.folder}`);
  const child = fork(
    join(import.meta.dirname, "mocha-child.ts"),
    [String(options.timeoutSec), options.grep, ...files],
    {
      cwd: options.root,
      execArgv: [exitFlag],
      env: { ...process.env, ...options.env },
      stdio: ["ignore", options.printTo, options.printTo, "ipc"],
    },
  );
  let count = 0;
  let ended = false;
  child.on("message", (message: ChildMessage) => {
    if ("outcome" in message) {
      count++;
      options.onOutcome(message.outcome);
    } else {
      ended = true;
      // It has said all that it had to say.
      setTimeout(() => child.kill("SIGKILL"), exitMs).unref();
    }
  });
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on("SIGTERM", pass);
  try {
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((done, fail) => {
      child.on("error", fail);
      child.on("close", (...end) => done(end));
    });
    const named = files.length === 1 ? (files[0] ?? "") : options.folder;
    if (!ended)
      failed(
        named,
        `the test process ended with ${signal ?? `status ${code}`} before its last test; its output is above`,
      );
    else if (count === 0 && options.grep === "") failed(named, `no test ran in ${files.length} file(s)`);
  } finally {
    process.off("SIGTERM", pass);
  }
}
