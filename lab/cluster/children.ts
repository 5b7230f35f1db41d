// Programs that end with the process that started them, whatever ends it, and whose folder goes with them.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** One program as it is to be started. */
export interface Program {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
}

/**
 * The kernel kills the program when its starter is gone (prctl(2), PR_SET_PDEATHSIG). A starter that went before that was
 * agreed is no longer the parent.
 */
const guarded = '[ "$PPID" = "$0" ] || exit 1; exec "$@"';

/** Removes the folder once nobody holds the other end of its input. A program that is being killed may still write. */
const sweep = `trap '' HUP INT TERM
while read -r _; do :; done
for _ in $(seq 100); do rm -rf -- "$0" && exit 0; sleep 0.1; done
exit 1`;

export class Children {
  readonly #folder: string;
  readonly #running = new Map<string, ChildProcess>();
  readonly #ends: Promise<void>[] = [];
  readonly #sweeper: ChildProcess;
  readonly #swept: Promise<number | null>;
  readonly #failure = Promise.withResolvers<string>();
  #closing = false;

  /** @param folder of the programs alone; removed at the end */
  constructor(folder: string) {
    this.#folder = folder;
    // In a session of its own: a terminal's Ctrl-C is for the owner.
    this.#sweeper = spawn("/bin/sh", ["-c", sweep, folder], {
      stdio: ["pipe", "ignore", "ignore"],
      cwd: "/",
      detached: true,
    });
    this.#swept = new Promise((resolve) => {
      this.#sweeper.once("exit", resolve);
      this.#sweeper.once("error", () => resolve(null));
    });
    this.#sweeper.unref();
  }

  /** Comes when a program ends by itself: how, and the end of what it said. */
  get failure(): Promise<string> {
    return this.#failure.promise;
  }

  /** Process ids of the programs that run. */
  get pids(): Readonly<Record<string, number>> {
    return Object.fromEntries(
      [...this.#running].flatMap(([name, { pid }]) => (pid === undefined ? [] : [[name, pid]])),
    );
  }

  start({ name, file, args }: Program): void {
    const logFile = join(this.#folder, `${name}.log`);
    const log = openSync(logFile, "a", 0o600);
    const child = spawn(
      "setpriv",
      ["--pdeathsig", "KILL", "/bin/sh", "-c", guarded, String(process.pid), file, ...args],
      {
        stdio: ["ignore", log, log],
        cwd: this.#folder,
        detached: true,
        // Nothing of the user's: no kubeconfig, no proxy.
        env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: this.#folder, TMPDIR: this.#folder },
      },
    );
    closeSync(log);
    // It must not keep its owner from ending: then it ends as well.
    child.unref();
    this.#running.set(name, child);
    const ended = new Promise<string>((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("exit", (status, signal) => resolve(signal ?? `status ${String(status)}`));
    });
    this.#ends.push(
      ended.then((how) => {
        this.#running.delete(name);
        if (this.#closing) return;
        const tail = readFileSync(logFile, "utf8").trim().split("\n").slice(-15).join("\n");
        this.#failure.resolve(`${name} ended (${how}):\n${tail}`);
      }),
    );
  }

  /** Ends all programs and removes the folder. @throws Error when the folder cannot be removed */
  async close(): Promise<void> {
    this.#closing = true;
    for (const child of this.#running.values()) {
      child.ref();
      child.kill("SIGKILL");
    }
    await Promise.all(this.#ends);
    this.#sweeper.ref();
    this.#sweeper.stdin?.end();
    if ((await this.#swept) !== 0) throw new Error(`${this.#folder} could not be removed: remove it by hand`);
  }
}
