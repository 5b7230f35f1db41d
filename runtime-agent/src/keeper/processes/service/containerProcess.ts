import { readFileSync } from "node:fs";
import { Cgroup, findCgroup2 } from "../cgroup/cgroup.ts";
import { cgroup2PathOf } from "../cgroup/paths.ts";
import type { ContainerEngine } from "../containers/engine.ts";
import type { Container } from "../containers/dialects.ts";
import { ProcessError, codeOf } from "../errors.ts";
import { readStat } from "../pids/stat.ts";
import { ProcessTree } from "../pids/tree.ts";
import { CgroupProcess } from "./cgroupProcess.ts";
import type { ServiceProcess, ServiceState } from "./serviceProcess.ts";
import { stateOfProcesses } from "./stopped.ts";

/**
 * A service in a container. Its cgroup is frozen directly, in less time than the engine takes to answer; where there
 * is no cgroup v2 the engine pauses it. TERM and KILL go through the engine, which then does not restart it.
 */
export class ContainerProcess implements ServiceProcess {
  readonly description: string;
  readonly #name: string;
  readonly #connect: () => Promise<ContainerEngine>;
  #engine: ContainerEngine | undefined;

  /** @param connect opens the engine; asked again after an engine that went away */
  constructor(name: string, connect: () => Promise<ContainerEngine>) {
    this.description = `container ${name}`;
    this.#name = name;
    this.#connect = connect;
  }

  async pids(): Promise<readonly number[]> {
    const { group, tree } = await this.#holders();
    return group === undefined ? (tree?.members().map(({ pid }) => pid) ?? []) : group.pids();
  }

  async state(): Promise<ServiceState> {
    const { container, group, tree } = await this.#holders();
    if (container === undefined || !container.running) return "absent";
    if (container.paused) return "frozen";
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
    const { container } = await this.#holders();
    if (container?.running !== true) return;
    await this.cont(graceMs);
    await this.thaw(graceMs);
    await (await this.#open()).stop(this.#name, graceMs / 1000);
  }

  async kill(deadlineMs: number): Promise<void> {
    const { container } = await this.#holders();
    if (container?.running !== true) return;
    // Podman and older kernels do not deliver to what is held.
    await this.thaw(deadlineMs);
    await (await this.#open()).kill(this.#name, deadlineMs);
  }

  async start(deadlineMs: number): Promise<void> {
    await (await this.#open()).start(this.#name, deadlineMs);
  }

  async #open(): Promise<ContainerEngine> {
    this.#engine ??= await this.#connect();
    return this.#engine;
  }

  async #holders(): Promise<{
    readonly container: Container | undefined;
    readonly group?: CgroupProcess;
    readonly tree?: ProcessTree;
  }> {
    let container: Container;
    try {
      container = await (await this.#open()).inspect(this.#name);
    } catch (error) {
      this.#engine = undefined;
      if (error instanceof ProcessError && error.fault === "absent") return { container: undefined };
      throw error;
    }
    const stat = container.pid === undefined ? undefined : readStat(container.pid);
    if (stat === undefined) return { container };
    const path = cgroupOf(stat.pid);
    // Without a cgroup v2 of its own (the engine uses v1, or the root group) only its tree is left to signal.
    if (path === undefined || path === "/") return { container, tree: new ProcessTree(stat) };
    return { container, group: new CgroupProcess(Cgroup.at(path, findCgroup2())) };
  }
}

function cgroupOf(pid: number): string | undefined {
  try {
    return cgroup2PathOf(readFileSync(`/proc/${String(pid)}/cgroup`, "utf8"));
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ESRCH") return undefined;
    throw error;
  }
}
