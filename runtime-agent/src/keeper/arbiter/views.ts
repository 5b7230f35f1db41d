/** The arbiter as others see it: the status document, and what the API may read and ask. */
import type { Clock } from "../../shared/clock.ts";
import type { GpuReading } from "../gpu/types.ts";
import type { LoadReader } from "./agentLoad.ts";
import type { Constraint } from "./core/types.ts";
import type { Leases } from "./leases.ts";
import type { DecisionLoop } from "./loop.ts";
import type { Memory } from "./memory.ts";
import type { RoutePorts } from "./routes.ts";
import type { ArbiterStatusDocument, ServiceStatus } from "./statusDocument.ts";
import { statusOf } from "./statusView.ts";

export interface ViewPorts {
  readonly clock: Clock;
  readonly load1: LoadReader;
  readonly memory: Memory;
  readonly loop: DecisionLoop;
  readonly leases: Leases;
  readonly reading: () => GpuReading;
  readonly constraint: () => Constraint | undefined;
  readonly link: () => ArbiterStatusDocument["link"];
  readonly kernelOf: (service: string) => ServiceStatus["kernel"];
}

export class Views {
  readonly #ports: ViewPorts;
  readonly #startedAtMs: number;
  #loops = 0;
  #turnedMs: number | undefined;

  constructor(ports: ViewPorts) {
    this.#ports = ports;
    this.#startedAtMs = ports.clock.wallMs();
  }

  /** A turn of the loop was completed. */
  turned(): void {
    this.#loops += 1;
    this.#turnedMs = performance.now();
  }

  status(): ArbiterStatusDocument {
    const { clock, load1, loop, memory, reading, constraint, link, kernelOf } = this.#ports;
    return statusOf({
      state: loop.state,
      config: loop.config,
      reading: reading(),
      constraint: constraint(),
      link: link(),
      wallMs: clock.wallMs(),
      monotonicMs: clock.monotonicMs(),
      startedAtMs: this.#startedAtMs,
      loops: this.#loops,
      loopAgeMs: this.#loopAgeMs(),
      load1: load1(),
      fault: loop.fault,
      kernelOf,
      decisions: memory.decisions,
    });
  }

  routePorts(): RoutePorts {
    const { clock, loop, leases, memory } = this.#ports;
    return {
      leases,
      state: () => loop.state,
      leaseMsOf: (service) => loop.config.services.find(({ name }) => name === service)?.leaseMs,
      push: (event) => loop.push(event),
      fault: () => loop.fault,
      full: () => loop.full,
      monotonicMs: () => clock.monotonicMs(),
      status: () => this.status(),
      decisionsSince: (number) => memory.decisions.filter((decision) => decision.number > number),
      loopAgeMs: () => this.#loopAgeMs(),
    };
  }

  #loopAgeMs(): number | undefined {
    return this.#turnedMs === undefined ? undefined : performance.now() - this.#turnedMs;
  }
}
