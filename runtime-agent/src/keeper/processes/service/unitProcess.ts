import { execFile } from "node:child_process";
import { fault } from "../../../../../components/shared/check.ts";
import { FaultsError } from "../../../../../components/shared/faults.ts";
import { Cgroup } from "../cgroup/cgroup.ts";
import { ProcessError, textOf } from "../errors.ts";
import { CgroupProcess } from "./cgroupProcess.ts";
import type { ServiceProcess, ServiceState } from "./serviceProcess.ts";

/** Unit names of systemd.unit(5) that name something with processes. */
const unitName = /^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]{0,245}\.(?:service|scope|slice)$/;

/** Time that systemctl may take to answer a question, ms. */
const showMs = 2_000;

export interface UnitOptions {
  /** Program to ask. @default systemctl */
  readonly systemctl?: string;
  /** The cgroup v2 mount. */
  readonly mount?: string;
}

/**
 * A service that systemd runs. Freezing and stopping act on its cgroup, which is looked up each time, for it changes
 * with the slice; TERM and KILL go through systemd, because a unit with `Restart=` would come back from anything else.
 */
export class UnitProcess implements ServiceProcess {
  readonly description: string;
  readonly #unit: string;
  readonly #options: UnitOptions;

  /** @throws FaultsError for what is no unit's name */
  constructor(unit: string, options: UnitOptions = {}) {
    if (!unitName.test(unit))
      throw new FaultsError("unit", [
        fault("unit", unit, "a unit's full name", "Name a service, scope or slice, for example ollama.service."),
      ]);
    this.description = `unit ${unit}`;
    this.#unit = unit;
    this.#options = options;
  }

  async pids(): Promise<readonly number[]> {
    return (await this.#group())?.pids() ?? [];
  }

  async state(): Promise<ServiceState> {
    return (await this.#group())?.state() ?? "absent";
  }

  async freeze(deadlineMs: number): Promise<void> {
    await (await this.#running()).freeze(deadlineMs);
  }

  async thaw(deadlineMs: number): Promise<void> {
    await (await this.#group())?.thaw(deadlineMs);
  }

  async stop(deadlineMs: number): Promise<void> {
    await (await this.#running()).stop(deadlineMs);
  }

  async cont(deadlineMs: number): Promise<void> {
    await (await this.#group())?.cont(deadlineMs);
  }

  /** `systemctl stop`, which sends SIGTERM and, after the unit's own TimeoutStopSec, SIGKILL. */
  async term(graceMs: number): Promise<void> {
    const group = await this.#group();
    if (group === undefined) return;
    await this.#release(group);
    await this.#systemctl(["stop", this.#unit], graceMs);
    await this.#assertGone(graceMs);
  }

  /** Killed through its cgroup at once, then reported to systemd as stopped, so that `Restart=` does not bring it back. */
  async kill(deadlineMs: number): Promise<void> {
    const group = await this.#group();
    if (group === undefined) return;
    // Announced first: between a kill and the announcement systemd could restart it.
    await this.#systemctl(["stop", "--no-block", this.#unit], deadlineMs);
    await group.kill(deadlineMs);
  }

  async start(deadlineMs: number): Promise<void> {
    await this.#systemctl(["start", this.#unit], deadlineMs);
  }

  async #running(): Promise<CgroupProcess> {
    const group = await this.#group();
    if (group === undefined) throw new ProcessError("absent", `${this.description} does not run`);
    return group;
  }

  async #release(group: CgroupProcess): Promise<void> {
    await group.cont(showMs);
    await group.thaw(showMs);
  }

  async #assertGone(graceMs: number): Promise<void> {
    if ((await this.pids()).length > 0)
      throw new ProcessError("deadline", `${this.description} still has processes after ${String(graceMs)} ms`);
  }

  async #group(): Promise<CgroupProcess | undefined> {
    const said = await this.#systemctl(["show", "--property=ControlGroup", "--value", this.#unit], showMs);
    const path = said.trim();
    if (path === "") return undefined;
    const group = Cgroup.at(path, ...(this.#options.mount === undefined ? [] : [this.#options.mount]));
    return group.exists() ? new CgroupProcess(group) : undefined;
  }

  #systemctl(argv: readonly string[], deadlineMs: number): Promise<string> {
    const program = this.#options.systemctl ?? "systemctl";
    return new Promise((resolve, reject) => {
      execFile(
        program,
        [...argv],
        { timeout: Math.max(1, Math.ceil(deadlineMs)), killSignal: "SIGKILL", maxBuffer: 64 * 1024, encoding: "utf8" },
        (error, stdout, stderr) => {
          if (error === null) return resolve(stdout);
          const missing = error.code === "ENOENT";
          const late = error.killed === true;
          reject(
            new ProcessError(
              missing ? "unsupported" : late ? "deadline" : "failed",
              `${program} ${argv.join(" ")}: ${late ? `no answer within ${String(deadlineMs)} ms` : stderr.trim().slice(0, 200) || textOf(error)}`,
              { cause: error },
            ),
          );
        },
      );
    });
  }
}
