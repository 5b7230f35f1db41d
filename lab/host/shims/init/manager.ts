// All units of one guest, and what systemctl may ask of them. Services run; units of other kinds are only remembered.
import { readFileSync } from "node:fs";
import { dropIns, enabledUnits, enablement, find, isMasked, section } from "../unit-files.ts";
import type { Answer, Failure, Request } from "./protocol.ts";
import { isStopping } from "./service-state.ts";
import { signalName } from "./settings.ts";
import { UnitText } from "./unit-text.ts";
import { Service } from "./unit.ts";

export class Manager {
  readonly #services = new Map<string, Service>();
  /** Units of other kinds that were started, and when, ms. */
  readonly #others = new Map<string, number>();

  /** Starts what a boot starts. One unit that cannot start keeps none of the others. */
  boot(): void {
    for (const unit of enabledUnits())
      void this.#start(unit, false).then((failure) => {
        if (failure !== undefined) this.#service(unit).say(failure.message);
      });
  }

  async answer(request: Request): Promise<Answer> {
    switch (request.op) {
      case "daemon-reload":
        for (const service of this.#services.values()) if (!service.atRest) quietly(() => service.load());
        return { failures: [], units: [] };
      case "show":
        return { failures: [], units: request.units.map((unit) => this.#properties(unit)) };
      case "list":
        return { failures: [], units: this.#known().map((unit) => this.#properties(unit)) };
      case "kill":
        for (const unit of request.units) this.#services.get(unit)?.signal(asSignal(request.signal), request.whom);
        return { failures: [], units: [] };
      case "reset-failed": {
        const units = request.units.length === 0 ? [...this.#services.keys()] : request.units;
        for (const unit of units) this.#services.get(unit)?.tell({ kind: "reset-failed" });
        const unknown = request.units.filter((unit) => find(unit) === undefined && !this.#services.has(unit));
        const failures = unknown.map((unit) =>
          failed(unit, `Failed to reset failed state of unit ${unit}: Unit ${unit} not loaded.`),
        );
        return { failures, units: [] };
      }
      default: {
        const { op, wait } = request;
        const done = await Promise.all(request.units.map((unit) => this.#perform(op, unit, wait)));
        return { failures: done.filter((failure) => failure !== undefined), units: [] };
      }
    }
  }

  async #perform(
    op: "start" | "stop" | "restart" | "try-restart" | "reload",
    unit: string,
    wait: boolean,
  ): Promise<Failure | undefined> {
    const known = this.#services.get(unit);
    const rests = known === undefined || known.atRest;
    switch (op) {
      case "start":
        return this.#start(unit, wait);
      case "stop":
        return this.#stop(unit, wait);
      case "try-restart":
        return rests ? undefined : this.#restart(unit, wait);
      case "restart":
        return rests ? this.#start(unit, wait) : this.#restart(unit, wait);
      case "reload": {
        const able = !rests && known.state.phase === "running";
        if (!able) return failed(unit, `${unit} is not active, cannot reload.`, 1);
        known.tell({ kind: "reload" });
        return undefined;
      }
    }
  }

  async #start(unit: string, wait: boolean): Promise<Failure | undefined> {
    if (find(unit) === undefined) return failed(unit, `Failed to start ${unit}: Unit ${unit} not found.`);
    if (!unit.endsWith(".service")) {
      if (isMasked(unit)) return failed(unit, `Failed to start ${unit}: Unit ${unit} is masked.`, 1);
      this.#others.set(unit, Date.now());
      return undefined;
    }
    try {
      const service = this.#service(unit);
      const started = service.start();
      if (!wait || (await started)) return undefined;
      const why =
        service.state.result === "start-limit-hit"
          ? "of start request repeated too quickly"
          : service.state.result === "timeout"
            ? "a timeout was exceeded"
            : "the control process exited with error code";
      return failed(
        unit,
        `Job for ${unit} failed because ${why}.\nSee "systemctl status ${unit}" and "journalctl -xeu ${unit}" for details.`,
        1,
      );
    } catch (error) {
      return failed(unit, `Failed to start ${unit}: ${error instanceof Error ? error.message : String(error)}`, 1);
    }
  }

  async #stop(unit: string, wait: boolean): Promise<Failure | undefined> {
    if (this.#others.delete(unit)) return undefined;
    const service = this.#services.get(unit);
    if (service === undefined)
      return find(unit) === undefined ? failed(unit, `Failed to stop ${unit}: Unit ${unit} not loaded.`) : undefined;
    service.tell({ kind: "stop" });
    if (wait) await service.stopped();
    return undefined;
  }

  async #restart(unit: string, wait: boolean): Promise<Failure | undefined> {
    const service = this.#service(unit);
    if (!isStopping(service.state.phase)) service.tell({ kind: "stop" });
    // A start that is asked for while it stops follows on its own.
    return this.#start(unit, wait);
  }

  #service(unit: string): Service {
    const known = this.#services.get(unit);
    if (known !== undefined) return known;
    const made = new Service(unit);
    this.#services.set(unit, made);
    return made;
  }

  /** What it is ordered behind and before, also by what the other services that are known say of it. */
  #order(unit: string): { After: string; Before: string } {
    const others = [...this.#services.keys()].filter((name) => name !== unit);
    const both = (own: "After" | "Before", theirs: "After" | "Before"): string => {
      const named = others.filter((name) => namesOf(name, theirs).includes(unit));
      return [...new Set([...namesOf(unit, own), ...named])].join(" ");
    };
    return { After: both("After", "Before"), Before: both("Before", "After") };
  }

  #known(): string[] {
    return [...new Set([...this.#services.keys(), ...this.#others.keys()])].sort();
  }

  #properties(unit: string): Record<string, string> {
    const file = find(unit);
    const masked = isMasked(unit);
    const since = this.#others.get(unit);
    const service = this.#services.get(unit);
    const rest = new Service(unit).properties();
    const text = file === undefined ? "" : readFileSync(file, "utf8");
    return {
      Id: unit,
      Names: unit,
      Description: section(text, "Unit").get("Description")?.[0] ?? unit,
      LoadState: masked ? "masked" : file === undefined ? "not-found" : "loaded",
      FragmentPath: file ?? "",
      ...this.#order(unit),
      DropInPaths: dropIns(unit).join(" "),
      UnitFileState: file === undefined && !masked ? "" : enablement(unit),
      ...(service?.properties() ?? rest),
      ...(since === undefined
        ? {}
        : {
            ActiveState: "active",
            SubState: unit.endsWith(".timer") ? "waiting" : "active",
            ActiveEnterTimestamp: new Date(since).toUTCString(),
          }),
      // There are no cgroups to be had without root.
      ControlGroup: "",
      MemoryCurrent: "[not set]",
    };
  }
}

function failed(unit: string, message: string, status = 5): Failure {
  return { unit, message, status };
}

/** Units that a unit's files name in a setting. */
function namesOf(unit: string, key: "After" | "Before"): string[] {
  const file = find(unit);
  if (file === undefined) return [];
  const text = new UnitText([file, ...dropIns(unit)].map((path) => readFileSync(path, "utf8")));
  return text.list("Unit", key).flatMap((value) => value.split(/\s+/));
}

function quietly(work: () => unknown): void {
  try {
    work();
  } catch {
    // As in systemd, a unit that can no longer be read keeps running as it was read before.
  }
}

function asSignal(text: string): string {
  return signalName(text.toUpperCase());
}
