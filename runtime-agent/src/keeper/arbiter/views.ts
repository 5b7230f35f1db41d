/** The arbiter as others see it: the status document, and what the API may read and ask. */
import type { Clock } from "../../shared/clock.ts";
import type { GpuReading } from "../gpu/types.ts";
import type { Constraint } from "./core/types.ts";
import type { Leases } from "./leases.ts";
import type { DecisionLoop } from "./loop.ts";
import type { Memory } from "./memory.ts";
import { loadAverage } from "./observe.ts";
import type { RoutePorts } from "./routes.ts";
import type { ArbiterStatusDocument, ServiceStatus } from "./statusDocument.ts";
import { statusOf } from "./statusView.ts";

export interface ViewPorts {
  readonly clock: Clock;
  readonly memory: Memory;
  readonly loop: DecisionLoop;
  readonly leases: Leases;
  readonly reading: () => GpuReading;
  readonly constraint: () => Constraint | undefined;
  readonly kernelOf: (service: string) => ServiceStatus["kernel"];
}

export class Views {
  readonly #ports: ViewPorts;
  readonly #startedAtMs: number;
  #loops = 0;
  #turnedMs = performance.now();

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
    const { clock, loop, memory, reading, constraint, kernelOf } = this.#ports;
    return statusOf({
      state: loop.state,
      config: loop.config,
      reading: reading(),
      constraint: constraint(),
      wallMs: clock.wallMs(),
      monotonicMs: clock.monotonicMs(),
      startedAtMs: this.#startedAtMs,
      loops: this.#loops,
      load1: loadAverage(),
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
      loopAgeMs: () => performance.now() - this.#turnedMs,
    };
  }
}
