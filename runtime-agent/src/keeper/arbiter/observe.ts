/** What the arbiter sees in one turn. Everything here is at hand or cheap to read: a turn never waits for a look. */
import { readFileSync } from "node:fs";
import type { Clock } from "../../shared/clock.ts";
import type { GpuReading } from "../gpu/types.ts";
import { toCoreGpu } from "../gpu/types.ts";
import { readStat } from "../processes/pids/stat.ts";
import type { ServiceState } from "../processes/service/serviceProcess.ts";
import { OwnLoad } from "./ownLoad.ts";
import type { ArbiterState } from "./core/state.ts";
import type { Constraint, Event, Gpu, Observation } from "./core/types.ts";
import type { Services } from "./services.ts";

export interface ObserverPorts {
  readonly clock: Clock;
  readonly services: () => Services;
  readonly reading: () => GpuReading;
  readonly constraint: () => Constraint | undefined;
  readonly state: () => ArbiterState;
  /** Told of services whose processes are gone. */
  readonly exited: (service: string) => void;
}

/** Time between two looks at services that have to be asked through a program or an engine, ms. */
const dearLookMs = 10_000;
const cheapLookMs = 1_000;
const countingOn = /^the last sample is \d+ ms old: |; next try in \d+ ms$/g;

/** `load1` of /proc/loadavg; undefined where there is none. */
export function loadAverage(): number | undefined {
  try {
    const load = Number.parseFloat(readFileSync("/proc/loadavg", "latin1"));
    return Number.isFinite(load) ? load : undefined;
  } catch {
    return undefined;
  }
}

export class Observer {
  readonly #ports: ObserverPorts;
  readonly #kernel = new Map<string, ServiceState | "unknown">();
  readonly #pids = new Map<string, readonly number[]>();
  /** When a service was last looked at, monotonic ms. */
  readonly #lookedMs = new Map<string, number>();
  /** Holds (by service) whose processes were seen alive: only they can be found gone. */
  readonly #alive = new Map<string, number>();
  readonly #owners = new Map<number, string | undefined>();
  #strangersMs = Number.NEGATIVE_INFINITY;
  readonly #ownLoad = new OwnLoad();
  #looking = false;

  constructor(ports: ObserverPorts) {
    this.#ports = ports;
  }

  kernelOf(service: string): ServiceState | "unknown" {
    return this.#kernel.get(service) ?? "unknown";
  }

  observe(events: readonly Event[]): Observation {
    const { clock, constraint } = this.#ports;
    const monotonicMs = clock.monotonicMs();
    return {
      monotonicMs,
      wallMs: clock.wallMs(),
      load1: loadAverage(),
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

  /** Looks at the services that stand somewhere. Begun after a turn, so that none waits for it; one look at a time. */
  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      const { services, state, clock } = this.#ports;
      const now = clock.monotonicMs();
      const all = services();
      const held = Object.keys(state().holds);
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
    if (hold === undefined) return;
    if ("fault" in look) {
      this.#kernel.set(name, "unknown");
      return;
    }
    this.#kernel.set(name, look.state);
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
        if (!this.#owners.has(each.pid)) return [];
        const service = this.#owners.get(each.pid);
        return service === undefined ? [each] : [{ ...each, service }];
      }),
    };
  }

  /** Finds out whose the processes on the card are. Asked again only for new ones, and for strangers now and then. */
  async findOwners(): Promise<void> {
    const reading = this.#ports.reading();
    if (reading.kind !== "known") return;
    const services = this.#ports.services();
    const now = this.#ports.clock.monotonicMs();
    const pids = reading.processes.map(({ pid }) => pid);
    for (const pid of this.#owners.keys()) {
      if (!pids.includes(pid) || readStat(pid) === undefined) this.#owners.delete(pid);
    }
    const fresh = pids.some((pid) => !this.#owners.has(pid));
    const strangers = pids.some((pid) => this.#owners.get(pid) === undefined);
    if (!fresh && !(strangers && now - this.#strangersMs >= dearLookMs)) return;
    this.#strangersMs = now;
    const found = new Map<number, string | undefined>(pids.map((pid) => [pid, undefined]));
    for (const name of services.names) {
      for (const pid of (await services.pids(name)) ?? []) if (found.has(pid)) found.set(pid, name);
    }
    for (const [pid, name] of found) this.#owners.set(pid, name);
  }
}
