import { awaitUntil } from "../awaitUntil.ts";
import type { Cgroup } from "../cgroup/cgroup.ts";
import { ProcessError } from "../errors.ts";
import { assertMayTouch, sendSignal } from "../pids/signal.ts";
import type { SignalName } from "../pids/signal.ts";
import { hasEnded, readStat, standing } from "../pids/stat.ts";
import type { ProcessStat } from "../pids/stat.ts";
import type { ServiceProcess, ServiceState } from "./serviceProcess.ts";
import { stateOfProcesses } from "./stopped.ts";

/** A start command that was begun. */
interface Launched {
  /** Why it failed: it ended with another status than 0. Undefined while it runs, and after a good end. */
  fault(): string | undefined;
}

/** Starts a service's command; in this cgroup when one is given. */
export type Starter = (folder: string | undefined) => Promise<Launched>;

/** For the wait for a service's processes: true when they are there. @throws ProcessError when its start has failed */
export function appeared(there: boolean, launched: Launched): true | undefined {
  const fault = launched.fault();
  if (!there && fault !== undefined) throw new ProcessError("failed", fault);
  return there ? true : undefined;
}

/** A service in a cgroup of its own: the only holder from which no process can slip away. */
export class CgroupProcess implements ServiceProcess {
  readonly description: string;
  readonly #group: Cgroup;
  readonly #starter: Starter | undefined;

  constructor(group: Cgroup, starter?: Starter) {
    this.description = `cgroup ${group.path}`;
    this.#group = group;
    this.#starter = starter;
  }

  pids(): Promise<readonly number[]> {
    return Promise.resolve(this.#living().map(({ pid }) => pid));
  }

  state(): Promise<ServiceState> {
    const living = this.#living();
    if (living.length > 0 && this.#group.readEvents()?.frozen === true) return Promise.resolve("frozen");
    const state = stateOfProcesses(living);
    // Asked and not reached: a process that sleeps in the kernel, or a Keeper that died while it waited.
    return Promise.resolve(state === "running" && this.#group.isFreezeAsked() ? "partly" : state);
  }

  async freeze(deadlineMs: number): Promise<void> {
    await this.#group.freeze(deadlineMs);
  }

  /** A group that is gone has nothing to thaw. */
  async thaw(deadlineMs: number): Promise<void> {
    if (this.#group.exists()) await this.#group.thaw(deadlineMs);
  }

  /** Repeated until a look finds nobody new: a process can fork before it stops, and its child is in the group. */
  async stop(deadlineMs: number): Promise<void> {
    const asked = new Set<number>();
    try {
      await awaitUntil(
        () => {
          const living = this.#living();
          if (living.length === 0) throw new ProcessError("absent", `no process is left in ${this.#group.path}`);
          const fresh = living.filter(({ pid }) => !asked.has(pid));
          for (const stat of fresh) {
            asked.add(stat.pid);
            this.#signal(stat, "SIGSTOP");
          }
          return fresh.length === 0 && standing(living).length === living.length ? true : undefined;
        },
        deadlineMs,
        () => `not every process of ${this.#group.path} stopped`,
      );
    } catch (error) {
      for (const stat of this.#living()) this.#signal(stat, "SIGCONT");
      throw error;
    }
  }

  async cont(deadlineMs: number): Promise<void> {
    for (const stat of this.#living()) this.#signal(stat, "SIGCONT");
    await awaitUntil(
      () => (this.#living().some(({ state }) => state === "T") ? undefined : true),
      deadlineMs,
      () => `some process of ${this.#group.path} is still stopped`,
    );
  }

  /** A frozen or stopped process takes no SIGTERM: both are undone first. */
  async term(graceMs: number): Promise<void> {
    if (!this.#group.exists()) return;
    const started = performance.now();
    for (const stat of this.#living()) this.#signal(stat, "SIGTERM");
    for (const stat of this.#living()) this.#signal(stat, "SIGCONT");
    await this.#group.thaw(graceMs);
    await this.#awaitGone(Math.max(1, graceMs - (performance.now() - started)));
  }

  async kill(deadlineMs: number): Promise<void> {
    await this.#group.kill(deadlineMs);
  }

  async start(deadlineMs: number): Promise<void> {
    if (this.#living().length > 0) return;
    if (this.#starter === undefined)
      throw new ProcessError("unsupported", `nothing says how to start what lives in ${this.#group.path}`);
    this.#group.create();
    // Left frozen by a crash, the newcomer would be born frozen.
    if (this.#group.isFreezeAsked()) await this.#group.thaw(deadlineMs);
    const launched = await this.#starter(this.#group.folder);
    await awaitUntil(
      () => appeared(this.#living().length > 0, launched),
      deadlineMs,
      () => `no process appeared in ${this.#group.path}`,
    );
  }

  #living(): readonly ProcessStat[] {
    return this.#group
      .pids()
      .map(readStat)
      .filter((stat) => stat !== undefined)
      .filter((stat) => !hasEnded(stat));
  }

  #signal(stat: ProcessStat, signal: SignalName): void {
    assertMayTouch(stat);
    sendSignal(stat, signal);
  }

  async #awaitGone(deadlineMs: number): Promise<void> {
    await awaitUntil(
      () => (this.#living().length === 0 ? true : undefined),
      deadlineMs,
      () =>
        `still in ${this.#group.path}: ${this.#living()
          .map(({ pid, name }) => `${String(pid)} (${name})`)
          .slice(0, 8)
          .join(", ")}: not ended`,
    );
  }
}
