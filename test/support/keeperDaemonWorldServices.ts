import type { ArbiterConfig } from "../../runtime-agent/src/keeper/arbiter/core/config.ts";
import type { ArbiterState } from "../../runtime-agent/src/keeper/arbiter/core/state.ts";
import type { Action, Constraint } from "../../runtime-agent/src/keeper/arbiter/core/types.ts";
import type { CudaCheckpoint, CudaOutcome } from "../../runtime-agent/src/keeper/gpu/cudaTypes.ts";
import { ProcessError } from "../../runtime-agent/src/keeper/processes/errors.ts";
import type { ServiceHandles } from "../../runtime-agent/src/keeper/processes/service/rungs.ts";
import type { ServiceState } from "../../runtime-agent/src/keeper/processes/service/serviceProcess.ts";
import type { Application } from "../../runtime-agent/src/keeper/processes/apps/application.ts";
import { DaemonCard } from "./keeperDaemonWorldCard.ts";
import type { ManualTime } from "./keeperDaemonWorldTime.ts";
import type { Scenario } from "./keeperScenario.ts";
import { KeeperWorld } from "./keeperWorld.ts";

/** How long what is simulated takes, ms: the README of the scenarios names these. */
const tookMs: Readonly<Record<string, number>> = {
  application: 1500,
  checkpoint: 3000,
  freeze: 8,
  stop: 1,
  term: 200,
  kill: 50,
  start: 400,
  raise: 10,
};
/** For so long the host side's word is good, ms. */
const wordMs = 10_000;

type Work = Extract<Action, { readonly service: string }> & { readonly kind: "start" | "lower" | "raise" };

/** The machine of a scenario as the daemon's adapters show it: processes, applications, the driver, the host's word. */
export class DaemonMachine {
  readonly world: KeeperWorld;
  readonly time: ManualTime;
  readonly card: DaemonCard;
  readonly #config: ArbiterConfig;
  readonly #states = new Map<string, ServiceState>();
  /** Living processes that stand for the services', by service. */
  readonly #pids: ReadonlyMap<string, number>;
  /** VRAM that the driver moved to memory, by service. */
  readonly #moved = new Set<string>();
  /** Actions asked for and not ended, by service, oldest first. */
  readonly #asked = new Map<string, Work[]>();
  readonly #begun = new Set<string>();

  constructor(scenario: Scenario, time: ManualTime, pids: readonly number[]) {
    const { config } = scenario;
    this.world = new KeeperWorld(config, scenario);
    this.time = time;
    this.#config = config;
    this.#pids = new Map(config.services.map(({ name }, index) => [name, pids[index] ?? 0]));
    this.card = new DaemonCard({
      world: this.world,
      time,
      vramTotalMiB: scenario.vramTotalMiB,
      pidOf: (service) => this.#pids.get(service) ?? 0,
    });
    this.boot();
  }

  get names(): readonly string[] {
    return this.#config.services.map(({ name }) => name);
  }

  stateOf(service: string): ServiceState {
    return this.#states.get(service) ?? "absent";
  }

  /** The machine comes up: clients run, nothing is on the card. */
  boot(): void {
    this.world.vramMiB.clear();
    this.world.leases.clear();
    this.#moved.clear();
    for (const { name, kind } of this.#config.services) {
      this.#states.set(name, kind === "interactive" ? "running" : "absent");
    }
    this.crash();
  }

  /** What was under way is never ended. */
  crash(): void {
    this.#asked.clear();
    this.#begun.clear();
  }

  asked(action: Action): void {
    if (action.kind !== "start" && action.kind !== "lower" && action.kind !== "raise") return;
    this.#asked.set(action.service, [...(this.#asked.get(action.service) ?? []), action]);
  }

  ended(id: string): void {
    for (const [service, actions] of this.#asked) {
      this.#asked.set(
        service,
        actions.filter((action) => action.id !== id),
      );
    }
  }

  /** Somebody runs it: a client that asks, or a server that is used. */
  runs(service: string): void {
    if (this.stateOf(service) === "absent") this.#states.set(service, "running");
  }

  exits(service: string): void {
    this.#states.set(service, "absent");
    this.#moved.delete(service);
  }

  /** What of the services is not as the state says; only looked at while no rung is made to fail. */
  faults(holds: ArbiterState["holds"]): string[] {
    if (this.world.refusesRungs.size + this.world.hangs.size > 0) return [];
    return this.names.flatMap((name) => {
      const hold = holds[name];
      const state = this.stateOf(name);
      if (state === "absent" || (hold !== undefined && hold.step !== null)) return [];
      if (hold?.phase === "lowered") {
        return hold.undo.includes("freeze") && state !== "frozen" ? [`${name} is ${state} and should be frozen`] : [];
      }
      if (hold !== undefined && hold.phase !== "running") return [];
      if (state !== "running") return [`${name} is ${state} and should run`];
      return this.#moved.has(name) ? [`the VRAM of ${name} was not brought back`] : [];
    });
  }

  constraint(monotonicMs: number): Constraint | undefined {
    const { link } = this.world;
    return link === undefined ? undefined : { ...link, untilMonotonicMs: monotonicMs + wordMs };
  }

  handles(service: string): ServiceHandles {
    const state = (): ServiceState => this.stateOf(service);
    const set = (to: ServiceState): void => void this.#states.set(service, to);
    const living = (): void => {
      if (state() === "absent") throw new ProcessError("absent", "no process is left");
    };
    const gone = (): void => {
      this.exits(service);
      this.world.vramMiB.delete(service);
    };
    const application: Application = {
      type: "vllm",
      lower: async () => {
        if (state() !== "running") throw new ProcessError("deadline", "a held server answers nothing");
        await this.#work(service, "application", () => this.world.vramMiB.delete(service));
      },
      raise: () => this.#work(service, "raise", () => this.#load(service)),
      isLowered: async () => !this.world.vramMiB.has(service),
    };
    return {
      application,
      process: {
        description: service,
        pids: async () => (state() === "absent" ? [] : [this.#pids.get(service) ?? 0]),
        state: async () => state(),
        freeze: () => {
          living();
          return this.#work(service, "freeze", () => set("frozen"));
        },
        thaw: () => this.#work(service, "raise", () => set(state() === "absent" ? "absent" : "running")),
        stop: () => this.#work(service, "stop", () => set("stopped")),
        cont: () => this.#work(service, "raise", () => set(state() === "absent" ? "absent" : "running")),
        term: () => this.#work(service, "term", gone),
        kill: () => this.#work(service, "kill", gone),
        start: () =>
          this.#work(service, "start", () => {
            this.runs(service);
            this.#load(service);
          }),
      },
    };
  }

  /**
   * One call of an adapter. The first one that an action makes for its own sake takes the scenario's time, and fails or
   * hangs when the scenario says so; what is done on the way (a thaw before VRAM is moved) takes none.
   */
  async #work(service: string, name: string, effect: () => void): Promise<void> {
    const [action] = this.#asked.get(service) ?? [];
    const own = action === undefined ? undefined : action.kind === "lower" ? action.rung : action.kind;
    // The end of a service waits for nothing that was asked before it.
    const isEnd = name === "kill" || (name === "term" && own === "start");
    const asked = this.#asked.get(service)?.some((each) => each.kind === "lower" && each.rung === name) === true;
    const isOwn = name === own || (isEnd && asked);
    if (isOwn && !(action !== undefined && name === "raise" && this.#begun.has(action.id))) {
      if (action !== undefined) this.#begun.add(action.id);
      const key = `${service} ${name}`;
      if (this.world.hangs.has(key)) await new Promise(() => undefined);
      await this.time.sleep(tookMs[name] ?? 1);
      if (this.world.refusesRungs.has(key)) throw new ProcessError("failed", "simulated");
    }
    effect();
  }

  #load(name: string): void {
    const service = this.#config.services.find((each) => each.name === name);
    if (service !== undefined && this.stateOf(name) !== "absent") this.world.vramMiB.set(name, service.vramMiB);
  }

  /** The driver's checkpoint: VRAM goes to memory and comes back only when it is asked to. */
  openCuda(): CudaCheckpoint {
    const done: CudaOutcome = { ok: true, tookMs: 1 };
    const serviceOf = (pid: number): string => [...this.#pids].find(([, each]) => each === pid)?.[0] ?? "";
    const attempt = async (work: Promise<void>): Promise<CudaOutcome> => {
      try {
        await work;
        return done;
      } catch (error) {
        return { ok: false, reason: error instanceof Error ? error.message : "", rolledBack: true };
      }
    };
    return {
      gate: async () => done,
      state: async () => "running",
      lock: async () => done,
      checkpoint: async () => done,
      restore: async () => done,
      unlock: async () => done,
      restoreThreadId: async () => undefined,
      suspend: ([first]) => {
        const service = serviceOf(first?.pid ?? 0);
        if (this.stateOf(service) !== "running") throw new Error(`${service} is moved while it is held`);
        const move = (): void => {
          this.world.vramMiB.delete(service);
          this.#moved.add(service);
        };
        return attempt(this.#work(service, "checkpoint", move));
      },
      resume: ([pid]) => {
        const service = serviceOf(pid ?? 0);
        if (this.stateOf(service) !== "running") throw new Error(`${service} is restored while it is held`);
        const back = (): void => {
          if (this.#moved.delete(service)) this.#load(service);
        };
        return attempt(this.#work(service, "raise", back));
      },
      close: async () => undefined,
    };
  }
}
