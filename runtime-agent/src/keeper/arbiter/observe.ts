/** What the arbiter sees in one turn. Everything here is at hand or cheap to read: a turn never waits for a look. */
import type { Clock } from "../../shared/clock.ts";
import type { GpuReading } from "../gpu/types.ts";
import { toCoreGpu } from "../gpu/types.ts";
import { readStat } from "../processes/pids/stat.ts";
import type { ServiceState } from "../processes/service/serviceProcess.ts";
import type { LoadReader } from "./agentLoad.ts";
import { OwnLoad } from "./ownLoad.ts";
import type { Constraint, Event, Gpu, Observation } from "./core/types.ts";
import { Repairs } from "./repairs.ts";
import type { RepairPorts } from "./repairs.ts";
import type { Services } from "./services.ts";

export interface ObserverPorts extends RepairPorts {
  readonly clock: Clock;
  readonly load1: LoadReader;
  readonly reading: () => GpuReading;
  readonly constraint: () => Constraint | undefined;
  /** Told of services whose processes are gone. */
  readonly exited: (service: string) => void;
}

/** Time between two looks at services that have to be asked through a program or an engine, ms. */
const dearLookMs = 10_000;
const cheapLookMs = 1_000;
/** Time until services are asked again after one of them could not say which processes are its own, ms. */
const askAgainMs = 3_000;
const countingOn = /^the last sample is \d+ ms old: |; next try in \d+ ms$/g;

export class Observer {
  readonly #ports: ObserverPorts;
  readonly #kernel = new Map<string, ServiceState | "unknown">();
  readonly #pids = new Map<string, readonly number[]>();
  /** When a service was last looked at, monotonic ms. */
  readonly #lookedMs = new Map<string, number>();
  /** Holds (by service) whose processes were seen alive: only they can be found gone. */
  readonly #alive = new Map<string, number>();
  /** Whose a process on the card is; without `service`, a stranger's. A number alone may be another's by now. */
  readonly #owners = new Map<number, { readonly startTicks: number; readonly service: string | undefined }>();
  /** Services without a hold that could not be asked at the start: looked at until they can. */
  readonly #unasked = new Set<string>();
  /** When the services were last asked for their processes, monotonic ms, and whether each could say. */
  #askedMs = Number.NEGATIVE_INFINITY;
  #allAnswered = true;
  readonly #ownLoad = new OwnLoad();
  readonly #repairs: Repairs;
  #looking = false;

  constructor(ports: ObserverPorts) {
    this.#ports = ports;
    this.#repairs = new Repairs(ports);
  }

  kernelOf(service: string): ServiceState | "unknown" {
    return this.#kernel.get(service) ?? "unknown";
  }

  observe(events: readonly Event[]): Observation {
    const { clock, load1, constraint } = this.#ports;
    const monotonicMs = clock.monotonicMs();
    return {
      monotonicMs,
      wallMs: clock.wallMs(),
      load1: load1(),
      ownLoad1: this.#ownLoad.value,
      gpu: this.#gpu(),
      constraint: constraint(),
      events,
    };
  }

  /** Counts the processes of a service as seen alive: its start was confirmed. */
  started(service: string): void {
    const hold = this.#ports.state().holds[service];
    if (hold !== undefined) this.#alive.set(service, hold.seq);
  }

  /** Services that could not be compared with the record are looked at too, until one look says how they are. */
  watch(services: readonly string[]): void {
    for (const name of services) this.#unasked.add(name);
  }

  /** Those of {@link watch} of which no look has said yet how they are. */
  get unasked(): readonly string[] {
    return [...this.#unasked];
  }

  /** Whether every process on the card is known to be a service's or a stranger's. */
  get ownersKnown(): boolean {
    const reading = this.#ports.reading();
    return reading.kind !== "known" || reading.processes.every(({ pid }) => this.#owners.has(pid));
  }

  /** Looks at the services that stand somewhere. Begun after a turn, so that none waits for it; one look at a time. */
  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      const { services, state, clock } = this.#ports;
      const now = clock.monotonicMs();
      const all = services();
      const held = [...new Set([...Object.keys(state().holds), ...this.#unasked])];
      for (const name of this.#kernel.keys()) if (!held.includes(name)) this.#forget(name);
      for (const name of held) {
        const every = all.isCheap(name) ? cheapLookMs : dearLookMs;
        if (now - (this.#lookedMs.get(name) ?? Number.NEGATIVE_INFINITY) < every * 0.9) continue;
        this.#lookedMs.set(name, now);
        await this.#lookAt(name, all);
      }
    } finally {
      this.#looking = false;
    }
  }

  #forget(name: string): void {
    this.#kernel.delete(name);
    this.#pids.delete(name);
    this.#alive.delete(name);
    this.#lookedMs.delete(name);
  }

  async #lookAt(name: string, services: Services): Promise<void> {
    const look = await services.look(name);
    const hold = this.#ports.state().holds[name];
    if (hold === undefined && !this.#unasked.has(name)) return;
    if ("fault" in look) {
      this.#kernel.set(name, "unknown");
      return;
    }
    this.#kernel.set(name, look.state);
    this.#repairs.looked(name, look.state);
    const isFree = look.state === "running" || look.state === "absent";
    const wasUnasked = isFree && this.#unasked.delete(name);
    if (hold === undefined) {
      // One that no configuration names any more was kept for this word alone.
      if (wasUnasked) services.released(name);
      return;
    }
    const idle = hold.phase === "running" || hold.phase === "lowered";
    if (look.state !== "absent") {
      this.#alive.set(name, hold.seq);
      const pids = (await services.pids(name)) ?? [];
      this.#pids.set(name, pids);
      const batch = hold.lease === null && hold.phase === "running";
      if (batch) this.#ownLoad.add(pids, performance.now());
    } else if (idle && this.#alive.get(name) === hold.seq) {
      this.#alive.delete(name);
      this.#ports.exited(name);
    }
  }

  #gpu(): Gpu {
    const gpu = toCoreGpu(this.#ports.reading());
    // Times that count on in a reason would be news in every turn.
    if (gpu.kind === "unknown") return { ...gpu, reason: gpu.reason.replace(countingOn, "") };
    if (gpu.kind === "absent") return gpu;
    return {
      ...gpu,
      // One that nobody has looked up yet is no stranger yet; its VRAM counts in the card's total in any case.
      processes: gpu.processes.flatMap((each) => {
        const owner = this.#owners.get(each.pid);
        if (owner === undefined) return [];
        const { service } = owner;
        return service === undefined ? [each] : [{ ...each, service }];
      }),
    };
  }

  /**
   * Finds out whose the processes on the card are. Asked again only for new ones, and for strangers now and then. Nobody
   * is called a stranger while a service cannot be asked: the process may be its.
   */
  async findOwners(): Promise<void> {
    const reading = this.#ports.reading();
    if (reading.kind !== "known") return;
    const services = this.#ports.services();
    const now = this.#ports.clock.monotonicMs();
    const living = new Map(
      reading.processes.flatMap(({ pid }) => {
        const stat = readStat(pid);
        return stat === undefined ? [] : [[pid, stat.startTicks] as const];
      }),
    );
    const pids = reading.processes.map(({ pid }) => pid);
    const pidsNow = new Set(pids);
    for (const [pid, { startTicks }] of this.#owners) {
      if (!pidsNow.has(pid) || (living.get(pid) ?? 0) !== startTicks) this.#owners.delete(pid);
    }
    const fresh = pids.some((pid) => !this.#owners.has(pid));
    const strangers = pids.some((pid) => this.#owners.get(pid)?.service === undefined);
    const agoMs = now - this.#askedMs;
    if (!(strangers && agoMs >= dearLookMs) && !(fresh && (this.#allAnswered || agoMs >= askAgainMs))) return;
    this.#askedMs = now;
    let allAnswered = true;
    const found = new Map<number, string>();
    for (const name of services.names) {
      const its = await services.pids(name);
      allAnswered &&= its !== undefined;
      for (const pid of its ?? []) found.set(pid, name);
    }
    this.#allAnswered = allAnswered;
    for (const pid of pids) {
      const service = found.get(pid);
      // One that /proc does not show here (another pid namespace) has no start time; its number is all there is.
      if (service !== undefined || allAnswered) this.#owners.set(pid, { startTicks: living.get(pid) ?? 0, service });
    }
  }
}
