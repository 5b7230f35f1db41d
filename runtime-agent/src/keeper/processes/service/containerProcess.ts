import { readFileSync } from "node:fs";
import { Cgroup, findCgroup2 } from "../cgroup/cgroup.ts";
import { cgroup2PathOf } from "../cgroup/paths.ts";
import type { ContainerEngine } from "../containers/engine.ts";
import type { Container } from "../containers/dialects.ts";
import { ProcessError, codeOf } from "../errors.ts";
import { hasEnded, readSame, readStat } from "../pids/stat.ts";
import type { ProcessId } from "../pids/stat.ts";
import { ProcessTree } from "../pids/tree.ts";
import { CgroupProcess } from "./cgroupProcess.ts";
import type { ServiceProcess, ServiceState } from "./serviceProcess.ts";
import { stateOfProcesses } from "./stopped.ts";

/**
 * A service in a container. Its cgroup is frozen directly, in less time than the engine takes to answer; where there
 * is no cgroup v2 the engine pauses it. TERM and KILL go through the engine, which then does not restart it.
 *
 * An engine that cannot be asked does not make it absent: it may run, or be held. As long as its first process of the
 * last look lives, in a cgroup v2 of its own, the kernel is asked instead; else every call throws what the engine threw.
 */
export class ContainerProcess implements ServiceProcess {
  readonly description: string;
  readonly #name: string;
  readonly #connect: () => Promise<ContainerEngine>;
  #engine: ContainerEngine | undefined;
  /** The first process, as the engine named it at the last look. */
  #first: ProcessId | undefined;

  /** @param connect opens the engine; asked again after an engine that went away */
  constructor(name: string, connect: () => Promise<ContainerEngine>) {
    this.description = `container ${name}`;
    this.#name = name;
    this.#connect = connect;
  }

  async pids(): Promise<readonly number[]> {
    const { container, group, tree } = await this.#holders();
    if (container?.running === true) this.#assertSeen(group ?? tree, container);
    return group === undefined ? (tree?.members().map(({ pid }) => pid) ?? []) : group.pids();
  }

  async state(): Promise<ServiceState> {
    const { container, group, tree } = await this.#holders();
    if (container === undefined || !container.running) return "absent";
    if (container.paused) return "frozen";
    this.#assertSeen(group ?? tree, container);
    return group?.state() ?? stateOfProcesses(tree?.members() ?? []);
  }

  async freeze(deadlineMs: number): Promise<void> {
    const { container, group } = await this.#holders();
    if (container?.running !== true) throw new ProcessError("absent", `${this.description} does not run`);
    await (group === undefined ? (await this.#open()).pause(this.#name, deadlineMs) : group.freeze(deadlineMs));
  }

  /** Both ways of holding it are undone: the other one may have been used before a crash. */
  async thaw(deadlineMs: number): Promise<void> {
    const { container, group } = await this.#holders();
    if (container?.paused === true) await (await this.#open()).unpause(this.#name, deadlineMs);
    await group?.thaw(deadlineMs);
  }

  async stop(deadlineMs: number): Promise<void> {
    const { group, tree } = await this.#holders();
    const holder = group ?? tree;
    if (holder === undefined) throw new ProcessError("absent", `${this.description} does not run`);
    await holder.stop(deadlineMs);
  }

  async cont(deadlineMs: number): Promise<void> {
    const { group, tree } = await this.#holders();
    await (group ?? tree)?.cont(deadlineMs);
  }

  async term(graceMs: number): Promise<void> {
    const { container, group, orphaned } = await this.#holders();
    if (container?.running !== true) return;
    // Nobody is there to restart it.
    if (orphaned === true) return group?.term(graceMs);
    await this.cont(graceMs);
    await this.thaw(graceMs);
    await (await this.#open()).stop(this.#name, graceMs / 1000);
  }

  async kill(deadlineMs: number): Promise<void> {
    const { container, group, orphaned } = await this.#holders();
    if (container?.running !== true) return;
    if (orphaned === true) return group?.kill(deadlineMs);
    // Podman and older kernels do not deliver to what is held.
    await this.thaw(deadlineMs);
    await (await this.#open()).kill(this.#name, deadlineMs);
  }

  async start(deadlineMs: number): Promise<void> {
    await (await this.#open()).start(this.#name, deadlineMs);
  }

  /** It just ended, or it is in another pid namespace: either way nobody can say that it is gone. */
  #assertSeen(holder: CgroupProcess | ProcessTree | undefined, { pid }: Container): void {
    if (holder === undefined)
      throw new ProcessError("failed", `${this.description} runs, and its process ${String(pid)} cannot be seen here`);
  }

  async #open(): Promise<ContainerEngine> {
    this.#engine ??= await this.#connect();
    return this.#engine;
  }

  async #holders(): Promise<Holders> {
    let container: Container;
    try {
      container = await (await this.#open()).inspect(this.#name);
    } catch (error) {
      this.#engine = undefined;
      if (error instanceof ProcessError && error.fault === "absent") {
        this.#first = undefined;
        return { container: undefined };
      }
      const orphan = this.#orphan();
      if (orphan === undefined) throw error;
      return orphan;
    }
    const stat = container.pid === undefined ? undefined : readStat(container.pid);
    this.#first = stat === undefined ? undefined : { pid: stat.pid, startTicks: stat.startTicks };
    if (stat === undefined) return { container };
    const path = cgroupOf(stat.pid);
    // Without a cgroup v2 of its own (the engine uses v1, or the root group) only its tree is left to signal.
    if (path === undefined || path === "/") return { container, tree: new ProcessTree(stat) };
    return { container, group: new CgroupProcess(Cgroup.at(path, findCgroup2())) };
  }

  /** What the kernel shows of it without its engine. Once its first process is gone, another may have been started. */
  #orphan(): Holders | undefined {
    const first = this.#first;
    const path = first === undefined || hasEnded(readSame(first)) ? undefined : cgroupOf(first.pid);
    if (first === undefined || path === undefined || path === "/") return undefined;
    const container = { id: "", name: this.#name, running: true, paused: false, pid: first.pid };
    return { container, group: new CgroupProcess(Cgroup.at(path, findCgroup2())), orphaned: true };
  }
}

interface Holders {
  /** Undefined when the engine has no such container. */
  readonly container: Container | undefined;
  readonly group?: CgroupProcess;
  readonly tree?: ProcessTree;
  /** Whether its engine cannot be asked. */
  readonly orphaned?: boolean;
}

function cgroupOf(pid: number): string | undefined {
  try {
    return cgroup2PathOf(readFileSync(`/proc/${String(pid)}/cgroup`, "utf8"));
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ESRCH") return undefined;
    throw error;
  }
}
