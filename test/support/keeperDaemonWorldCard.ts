import type { GpuDevice, GpuReading, LimitOutcome } from "../../runtime-agent/src/keeper/gpu/types.ts";
import type { ManualTime } from "./keeperDaemonWorldTime.ts";
import type { KeeperWorld } from "./keeperWorld.ts";

export interface CardPorts {
  readonly world: KeeperWorld;
  readonly time: ManualTime;
  readonly vramTotalMiB: number;
  readonly pidOf: (service: string) => number;
}

/** How long a change of the card's limits takes, ms: the README of the scenarios names it. */
const powerMs = 5;

/** The card of a scenario, as the driver shows it. */
export class DaemonCard {
  readonly #ports: CardPorts;
  #sample = 0;
  #last: GpuReading = { kind: "unknown", reason: "not read yet" };

  constructor(ports: CardPorts) {
    this.#ports = ports;
  }

  /** The device as the daemon's parts use it. */
  device(): GpuDevice {
    const change = async (): Promise<LimitOutcome> => {
      if (this.#ports.world.hangs.has("card power")) await new Promise(() => undefined);
      await this.#ports.time.sleep(powerMs);
      if (this.#ports.world.refusesRungs.has("card power")) return { ok: false, reason: "simulated" };
      return { ok: true, powerLimitWatts: 200, maxGraphicsClockMHz: undefined, clamped: false };
    };
    return {
      read: async () => this.takeSample(),
      latest: () => this.#closed() ?? this.#last,
      limits: async () => ({
        powerLimitWatts: 350,
        enforcedPowerLimitWatts: 350,
        minPowerLimitWatts: 100,
        maxPowerLimitWatts: 400,
        defaultPowerLimitWatts: 350,
        graphicsClockMHz: 2000,
        maxGraphicsClockMHz: 2500,
      }),
      original: () => undefined,
      apply: change,
      setPowerLimitWatts: change,
      lockGraphicsClockMHz: change,
      resetGraphicsClock: change,
      restore: change,
      close: async () => undefined,
    };
  }

  takeSample(): GpuReading {
    if (this.#ports.world.sensor !== "stuck") {
      this.#sample += 1;
      this.#last = this.#look();
    }
    return this.#closed() ?? this.#last;
  }

  #closed(): GpuReading | undefined {
    const { gpu } = this.#ports.world;
    if (gpu === "known") return undefined;
    return gpu === "absent" ? { kind: "absent", reason: "no card" } : { kind: "unknown", reason: gpu };
  }

  #look(): GpuReading {
    const { world, vramTotalMiB, pidOf } = this.#ports;
    const ours = [...world.vramMiB].map(([name, vramMiB]) => ({ pid: pidOf(name), vramMiB }));
    const others = [...world.strangers].map(([pid, vramMiB]) => ({ pid, vramMiB }));
    const processes = [...ours.filter(({ vramMiB }) => vramMiB > 0), ...others].map((each) => ({
      ...each,
      kind: "compute" as const,
    }));
    const vramUsedMiB = processes.reduce((sum, { vramMiB }) => sum + vramMiB, 0);
    return {
      ...{ kind: "known", sample: this.#sample, ageMs: 0, name: "card", uuid: "GPU-0", driverVersion: "570.0" },
      ...{ vramTotalMiB, vramUsedMiB, vramFreeMiB: vramTotalMiB - vramUsedMiB },
      temperatureC: world.sensor === "none" ? undefined : world.temperatureC,
      ...{ powerWatts: 100, powerLimitWatts: 350, graphicsClockMHz: 2000, memoryClockMHz: 9000 },
      ...{ utilizationPercent: 50, processes },
    };
  }
}
