/** What the GPU child sends, checked at the border: a field of the wrong type makes the whole answer worthless. */
import { isRecord } from "./childFault.ts";
import type { GpuIdentity, GpuLimits, GpuProcess, GpuSample } from "./types.ts";

class Malformed extends Error {}

function quantity(value: Readonly<Record<string, unknown>>, key: string): number | undefined {
  const field = value[key];
  if (field === undefined) return undefined;
  if (typeof field !== "number" || !Number.isFinite(field) || field < 0) throw new Malformed(key);
  return field;
}

function required(value: Readonly<Record<string, unknown>>, key: string): number {
  const field = quantity(value, key);
  if (field === undefined) throw new Malformed(key);
  return field;
}

function checked<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

function processOf(value: unknown): GpuProcess {
  if (!isRecord(value)) throw new Malformed("processes");
  const { kind } = value;
  if (kind !== "compute" && kind !== "graphics") throw new Malformed("kind");
  return { pid: required(value, "pid"), vramMiB: quantity(value, "vramMiB"), kind };
}

/** The sample, or undefined when it is malformed or its memory does not add up. */
export function readSample(value: unknown): GpuSample | undefined {
  if (!isRecord(value)) return undefined;
  return checked(() => {
    const processes = value["processes"];
    if (!Array.isArray(processes)) throw new Malformed("processes");
    const vramTotalMiB = required(value, "vramTotalMiB");
    const vramUsedMiB = required(value, "vramUsedMiB");
    if (vramTotalMiB === 0 || vramUsedMiB > vramTotalMiB) throw new Malformed("vramUsedMiB");
    return {
      vramTotalMiB,
      vramUsedMiB,
      vramFreeMiB: required(value, "vramFreeMiB"),
      temperatureC: quantity(value, "temperatureC"),
      powerWatts: quantity(value, "powerWatts"),
      powerLimitWatts: quantity(value, "powerLimitWatts"),
      graphicsClockMHz: quantity(value, "graphicsClockMHz"),
      memoryClockMHz: quantity(value, "memoryClockMHz"),
      utilizationPercent: quantity(value, "utilizationPercent"),
      processes: processes.map(processOf),
    };
  });
}

/** The limits, or undefined when they are malformed. */
export function readLimits(value: unknown): GpuLimits | undefined {
  if (!isRecord(value)) return undefined;
  return checked(() => ({
    powerLimitWatts: quantity(value, "powerLimitWatts"),
    enforcedPowerLimitWatts: quantity(value, "enforcedPowerLimitWatts"),
    minPowerLimitWatts: quantity(value, "minPowerLimitWatts"),
    maxPowerLimitWatts: quantity(value, "maxPowerLimitWatts"),
    defaultPowerLimitWatts: quantity(value, "defaultPowerLimitWatts"),
    graphicsClockMHz: quantity(value, "graphicsClockMHz"),
    maxGraphicsClockMHz: quantity(value, "maxGraphicsClockMHz"),
  }));
}

/** The first line of the GPU child. */
export type GpuHello =
  | { readonly kind: "identity"; readonly identity: GpuIdentity }
  | { readonly kind: "absent" | "failed"; readonly reason: string };

export function readHello(value: Readonly<Record<string, unknown>> | undefined): GpuHello | undefined {
  if (value === undefined) return undefined;
  const { identity, absent, failed } = value;
  if (typeof absent === "string") return { kind: "absent", reason: absent };
  if (typeof failed === "string") return { kind: "failed", reason: failed };
  if (!isRecord(identity)) return undefined;
  const { name, uuid, driverVersion } = identity;
  if (typeof name !== "string" || typeof uuid !== "string" || typeof driverVersion !== "string") return undefined;
  return { kind: "identity", identity: { name, uuid, driverVersion } };
}
