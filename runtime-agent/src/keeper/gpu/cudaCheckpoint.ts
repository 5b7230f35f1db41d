/** CUDA checkpoint through a killable child, with its gates and its way back. */
import { readFile } from "node:fs/promises";
import { childEnvironment, defaultCudaLibrary } from "./childArguments.ts";
import type { CudaCheckpoint, CudaOutcome, CudaProcess, CudaProcessState } from "./cudaTypes.ts";
import { LineChild } from "./lineChild.ts";
import type { ChildEvent } from "./lineChild.ts";

export interface CudaCheckpointOptions {
  /** Command that ends in `runCudaChild`: `[process.execPath, bundle, "cuda-child"]`. */
  readonly childCommand: readonly string[];
  /** Default `libcuda.so.1` from the loader's paths. */
  readonly library?: string;
  /** Driver as NVML names it, `575.57.08`; its major number must be at least `minDriverMajor`. */
  readonly driverVersion?: () => string | undefined;
  /** Default 570, the first with a lock timeout (CUDA 12.8). PyTorch needs 575. */
  readonly minDriverMajor?: number;
  /** RAM that must stay free beside the checkpoint, MiB. Default 1024. */
  readonly marginMiB?: number;
  /** `MemAvailable` of the machine in MiB; undefined when unreadable. For tests. */
  readonly availableMiB?: () => Promise<number | undefined>;
  /** Bound of a query, an unlock and what a lock takes beyond its timeout. Default 3000. */
  readonly deadlineMs?: number;
  /** Bound of one checkpoint or restore. Default 60000: an H100 was seen to take 15 s. */
  readonly moveDeadlineMs?: number;
  readonly now?: () => number;
  readonly onEvent?: (event: ChildEvent) => void;
}

/** CUDA 12.8 came with driver 570; `cuDriverGetVersion` is 1000 × major + 10 × minor. */
const minCudaVersion = 12_080;

/** `MemAvailable` of /proc/meminfo in MiB. */
export async function availableMiB(): Promise<number | undefined> {
  const text = await readFile("/proc/meminfo", "utf8").catch(() => "");
  const kibibytes = /^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1];
  return kibibytes === undefined ? undefined : Math.floor(Number(kibibytes) / 1024);
}

export class CudaCheckpointClient implements CudaCheckpoint {
  readonly #options: CudaCheckpointOptions;
  readonly #child: LineChild;
  readonly #now: () => number;
  readonly #deadlineMs: number;
  readonly #moveDeadlineMs: number;

  constructor(options: CudaCheckpointOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#deadlineMs = options.deadlineMs ?? 3000;
    this.#moveDeadlineMs = options.moveDeadlineMs ?? 60_000;
    this.#child = new LineChild({
      command: [...options.childCommand, options.library ?? defaultCudaLibrary],
      env: childEnvironment(),
      startDeadlineMs: 15_000,
      // The way back of a failed step must not wait: a killed child is replaced at once.
      pauseMs: { first: 0, max: 0 },
      now: this.#now,
      onEvent: options.onEvent ?? (() => undefined),
    });
  }

  async gate(vramMiB: number | undefined): Promise<CudaOutcome> {
    const start = this.#now();
    const named = this.#options.driverVersion?.();
    const minMajor = this.#options.minDriverMajor ?? 570;
    if (named !== undefined && !(Number.parseInt(named, 10) >= minMajor)) {
      return refuse(`driver ${named} cannot checkpoint: ${minMajor} or later is needed`);
    }
    const asked = await this.#step("hello", {}, this.#deadlineMs);
    const hello = this.#child.hello;
    const why = hello?.["failed"];
    if (!asked.ok) return typeof why === "string" ? refuse(`no CUDA driver: ${why}`) : asked;
    const version = hello?.["version"];
    if (typeof version !== "number" || version < minCudaVersion || hello?.["canCheckpoint"] !== true) {
      return refuse(`the CUDA driver (${String(version)}) cannot checkpoint: ${minCudaVersion} or later is needed`);
    }
    const free = await (this.#options.availableMiB ?? availableMiB)();
    const margin = this.#options.marginMiB ?? 1024;
    if (vramMiB === undefined) return refuse("the driver does not tell how much VRAM the process holds");
    if (free === undefined) return refuse("free memory cannot be read");
    if (free < vramMiB + margin) {
      return refuse(`${free} MiB of RAM are free; ${vramMiB} MiB of VRAM and a margin of ${margin} MiB do not fit`);
    }
    return { ok: true, tookMs: this.#now() - start };
  }

  async state(pid: number): Promise<CudaProcessState | undefined> {
    const value = await this.#child.request("state", { pid }, this.#deadlineMs).catch(() => undefined);
    return value === "running" || value === "locked" || value === "checkpointed" || value === "failed"
      ? value
      : undefined;
  }

  async restoreThreadId(pid: number): Promise<number | undefined> {
    const value = await this.#child.request("restoreThreadId", { pid }, this.#deadlineMs).catch(() => undefined);
    return typeof value === "number" ? value : undefined;
  }

  lock(pid: number, timeoutMs: number): Promise<CudaOutcome> {
    return this.#step("lock", { pid, timeoutMs }, timeoutMs + this.#deadlineMs);
  }

  checkpoint(pid: number): Promise<CudaOutcome> {
    return this.#step("checkpoint", { pid }, this.#moveDeadlineMs);
  }

  restore(pid: number): Promise<CudaOutcome> {
    return this.#step("restore", { pid }, this.#moveDeadlineMs);
  }

  unlock(pid: number): Promise<CudaOutcome> {
    return this.#step("unlock", { pid }, this.#deadlineMs);
  }

  async suspend(processes: readonly CudaProcess[], lockTimeoutMs: number): Promise<CudaOutcome> {
    const start = this.#now();
    const sizes = processes.map(({ vramMiB }) => vramMiB);
    const open = await this.gate(sizes.reduce<number | undefined>(sum, 0));
    if (!open.ok) return open;
    const pids = processes.map(({ pid }) => pid);
    const failure = (await this.#lockAll(pids, lockTimeoutMs)) ?? (await this.#checkpointAll(pids));
    if (failure === undefined) return { ok: true, tookMs: this.#now() - start };
    const back = await this.resume(pids);
    return { ...refuse(back.ok ? failure : `${failure}; and back: ${back.reason}`), rolledBack: back.ok };
  }

  async resume(pids: readonly number[]): Promise<CudaOutcome> {
    const start = this.#now();
    // A step that was just killed may still hold the driver.
    await this.#child.settled(this.#deadlineMs);
    const faults: string[] = [];
    // All are restored before the first one runs on: processes of one service may talk to each other.
    for (const step of ["checkpointed", "locked"] as const) {
      for (const pid of pids) {
        const state = await this.state(pid);
        if (state === step) {
          const outcome = step === "checkpointed" ? await this.restore(pid) : await this.unlock(pid);
          if (!outcome.ok) faults.push(`process ${pid}: ${outcome.reason}`);
        } else if (step === "locked" && state !== "running") {
          faults.push(`process ${pid} is ${state ?? "in a state that the driver does not tell"}`);
        }
      }
    }
    return faults.length === 0 ? { ok: true, tookMs: this.#now() - start } : refuse(faults.join("; "));
  }

  close(): Promise<void> {
    return this.#child.close();
  }

  /** The first failure in words. A process that is locked or checkpointed already (after a crash) is passed over. */
  async #lockAll(pids: readonly number[], timeoutMs: number): Promise<string | undefined> {
    for (const pid of pids) {
      const state = await this.state(pid);
      if (state === "locked" || state === "checkpointed") continue;
      if (state === "failed") return `process ${pid}: a checkpoint of it failed before`;
      const locked = await this.lock(pid, timeoutMs);
      if (!locked.ok) return `process ${pid}: ${locked.reason}`;
    }
    return undefined;
  }

  async #checkpointAll(pids: readonly number[]): Promise<string | undefined> {
    for (const pid of pids) {
      if ((await this.state(pid)) === "checkpointed") continue;
      const moved = await this.checkpoint(pid);
      if (!moved.ok) return `process ${pid}: ${moved.reason}`;
    }
    return undefined;
  }

  async #step(op: string, params: object, deadlineMs: number): Promise<CudaOutcome> {
    const start = this.#now();
    try {
      await this.#child.request(op, params, deadlineMs);
      return { ok: true, tookMs: this.#now() - start };
    } catch (error) {
      return refuse(error instanceof Error ? error.message : String(error));
    }
  }
}

function refuse(reason: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason };
}

function sum(total: number | undefined, next: number | undefined): number | undefined {
  return total === undefined || next === undefined ? undefined : total + next;
}
