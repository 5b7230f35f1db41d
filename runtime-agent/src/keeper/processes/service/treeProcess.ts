import { openSync, readSync, closeSync } from "node:fs";
import { awaitUntil } from "../awaitUntil.ts";
import { ProcessError, codeOf, textOf } from "../errors.ts";
import { hasEnded, readSame, readStat } from "../pids/stat.ts";
import type { ProcessId } from "../pids/stat.ts";
import { ProcessTree } from "../pids/tree.ts";
import { appeared } from "./cgroupProcess.ts";
import type { Starter } from "./cgroupProcess.ts";
import type { ServiceProcess, ServiceState } from "./serviceProcess.ts";
import { stateOfProcesses } from "./stopped.ts";

/**
 * A service outside any cgroup of ours, known by its pid file: stopped by signals, never frozen.
 *
 * A pid file names a number, and after a crash of the service the number may be another's. It is bound to a start time
 * when the file is first read, and from then on no other process is taken for it. The first reading itself is believed:
 * comparing the start with the file's time would be wrong after each step of the wall clock. A service that matters
 * belongs in a cgroup.
 */
export class TreeProcess implements ServiceProcess {
  readonly description: string;
  readonly #pidFile: string;
  readonly #starter: Starter | undefined;
  #root: ProcessId | undefined;
  #tree: ProcessTree | undefined;

  constructor(pidFile: string, starter?: Starter) {
    this.description = `pid file ${pidFile}`;
    this.#pidFile = pidFile;
    this.#starter = starter;
  }

  pids(): Promise<readonly number[]> {
    return Promise.resolve(
      this.#find()
        ?.members()
        .map(({ pid }) => pid) ?? [],
    );
  }

  state(): Promise<ServiceState> {
    return Promise.resolve(stateOfProcesses(this.#find()?.members() ?? []));
  }

  freeze(): Promise<void> {
    return Promise.reject(
      new ProcessError("unsupported", `${this.description}: freezing takes a cgroup; the rung here is stop`),
    );
  }

  thaw(): Promise<void> {
    return Promise.resolve();
  }

  async stop(deadlineMs: number): Promise<void> {
    const tree = this.#find();
    if (tree === undefined) throw new ProcessError("absent", `${this.description}: no such process`);
    await tree.stop(deadlineMs);
  }

  async cont(deadlineMs: number): Promise<void> {
    await this.#find()?.cont(deadlineMs);
  }

  async term(graceMs: number): Promise<void> {
    await this.#find()?.term(graceMs);
  }

  async kill(deadlineMs: number): Promise<void> {
    await this.#find()?.kill(deadlineMs);
  }

  async start(deadlineMs: number): Promise<void> {
    if ((await this.pids()).length > 0) return;
    if (this.#starter === undefined)
      throw new ProcessError("unsupported", `${this.description}: nothing says how to start it`);
    const launched = await this.#starter(undefined);
    await awaitUntil(
      () => appeared((this.#find()?.members().length ?? 0) > 0, launched),
      deadlineMs,
      () => `${this.description}: no process appeared`,
    );
  }

  /** The tree of the process that the file names now; members of the tree before it are kept while it lives. */
  #find(): ProcessTree | undefined {
    const pid = readPidFile(this.#pidFile);
    const known = this.#root;
    if (known !== undefined && this.#tree !== undefined && (pid === undefined || pid === known.pid)) {
      // The first process may have gone while its children live on: they are still the service.
      if (readSame(known) !== undefined || this.#tree.members().length > 0) return this.#tree;
    }
    this.#root = undefined;
    this.#tree = undefined;
    const stat = pid === undefined ? undefined : readStat(pid);
    if (stat === undefined || hasEnded(stat)) return undefined;
    this.#tree = new ProcessTree(stat);
    this.#root = { pid: stat.pid, startTicks: stat.startTicks };
    return this.#tree;
  }
}

/** The number in a pid file; undefined when there is no file or none in it. */
function readPidFile(file: string): number | undefined {
  const buffer = Buffer.alloc(32);
  try {
    const descriptor = openSync(file, "r");
    try {
      const length = readSync(descriptor, buffer, 0, buffer.length, 0);
      const text = buffer.toString("latin1", 0, length).trim();
      return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw new ProcessError("failed", `pid file ${file}: ${textOf(error)}`, { cause: error });
  }
}
