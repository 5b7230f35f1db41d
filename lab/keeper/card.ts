// Keeps the fake GPU true to the processes: whoever lives holds its VRAM, whoever computes draws power and warms it.
import { FakeGpu, idleFakeGpu } from "../gpu/fakeGpu.ts";
import type { FakeGpuState } from "../gpu/fakeGpu.ts";
import type { LabService } from "./services.ts";
import { labServices } from "./services.ts";
import type { Worker } from "./workers.ts";
import { findWorker } from "./workers.ts";

/** How often the processes are looked at, ms. */
const everyMs = 100;
const idle = { watts: 28, celsius: 41 };

type Running = readonly { readonly service: LabService; readonly worker: Worker }[];

/** What the card shows with these processes on it. `heatC` overrides the warmth that follows from them. Pure. */
export function cardState(
  running: Running,
  limitWatts: number | undefined,
  heatC: number | undefined,
): Pick<FakeGpuState, "processes" | "powerWatts" | "temperatureC" | "utilizationPercent"> {
  const busy = running.filter(({ worker }) => !worker.still);
  const wanted = Math.max(idle.watts, ...busy.map(({ service }) => service.watts));
  const limit = limitWatts !== undefined && limitWatts > 0 ? limitWatts : idleFakeGpu.defaultPowerLimitWatts;
  return {
    processes: running.map(({ service, worker }) => ({
      pid: worker.pid,
      vramMiB: service.vramGB * 1024,
      endsWithPid: true,
    })),
    powerWatts: Math.min(wanted, limit),
    temperatureC: heatC ?? Math.max(idle.celsius, ...busy.map(({ service }) => service.celsius)),
    utilizationPercent: busy.length > 0 ? 97 : 0,
  };
}

export class LabCard {
  readonly #gpu: FakeGpu;
  readonly #servicesFolder: string;
  /** Services whose process lives and has no VRAM: they wait for their turn. */
  readonly #without = new Set<string>();
  #heatC: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #shown = "";
  #busy: Promise<void> = Promise.resolve();

  constructor(gpuFolder: string, servicesFolder: string) {
    this.#gpu = new FakeGpu(gpuFolder);
    this.#servicesFolder = servicesFolder;
  }

  /** Begins with an idle card and follows the processes from then on. */
  async start(): Promise<void> {
    await this.#gpu.reset();
    await this.look();
    this.#timer = setInterval(() => void this.look().catch(() => undefined), everyMs);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#busy.catch(() => undefined);
  }

  /** Heat as the script has it; undefined: whatever the work makes of it. */
  heat(celsius: number | undefined): Promise<void> {
    this.#heatC = celsius;
    return this.look();
  }

  /** A service loads its model, or drops it; resolves when the driver shows it. */
  claim(service: string, holds: boolean): Promise<void> {
    if (holds) this.#without.delete(service);
    else this.#without.add(service);
    return this.look();
  }

  /** Looks at the processes now; resolves when the driver would show them. */
  look(): Promise<void> {
    this.#busy = this.#busy.catch(() => undefined).then(() => this.#look());
    return this.#busy;
  }

  async #look(): Promise<void> {
    const running = labServices.flatMap((service) => {
      const worker = this.#without.has(service.name) ? undefined : findWorker(this.#servicesFolder, service.name);
      return worker === undefined ? [] : [{ service, worker }];
    });
    const { powerLimitWatts } = await this.#gpu.limits();
    const state = cardState(running, powerLimitWatts, this.#heatC);
    const text = JSON.stringify(state);
    if (text === this.#shown) return;
    await this.#gpu.set(state);
    this.#shown = text;
  }
}
