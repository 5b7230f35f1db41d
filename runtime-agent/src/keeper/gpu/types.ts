/** What the GPU part of the Keeper says and is told. Units are in the names; times are milliseconds. */
import type { Gpu } from "../arbiter/core/types.ts";

/** Which card: its UUID (`GPU-…`, stable over reboots and slots) or its index in the driver's order. */
export type GpuSelector = { readonly uuid: string } | { readonly index: number };

/** A process that has a context on the card. */
export interface GpuProcess {
  readonly pid: number;
  /** Undefined where the driver cannot tell (`NVML_VALUE_NOT_AVAILABLE`). */
  readonly vramMiB: number | undefined;
  readonly kind: "compute" | "graphics";
}

/** What one look at the card gave. A sensor the card does not have is undefined, never 0. */
export interface GpuSample {
  readonly vramTotalMiB: number;
  /** All that is not free, the driver's own reserve included: total − free. */
  readonly vramUsedMiB: number;
  readonly vramFreeMiB: number;
  readonly temperatureC: number | undefined;
  readonly powerWatts: number | undefined;
  readonly powerLimitWatts: number | undefined;
  readonly graphicsClockMHz: number | undefined;
  readonly memoryClockMHz: number | undefined;
  /** Percent of the driver's last period in which a kernel ran. */
  readonly utilizationPercent: number | undefined;
  readonly processes: readonly GpuProcess[];
}

/** Names of the card and of its driver, as found when the child opened it. */
export interface GpuIdentity {
  readonly name: string;
  readonly uuid: string;
  /** As `nvidia-smi` shows it: `570.86.15`. */
  readonly driverVersion: string;
}

/**
 * `absent`: no library, no driver or no such card, so the Keeper runs without the GPU part. `unknown`: there is a
 * card, and the driver does not answer now; the GPU is closed. `known`: a sample with its number; two readings with
 * the same number are one reading.
 */
export type GpuReading =
  | { readonly kind: "absent"; readonly reason: string }
  | { readonly kind: "unknown"; readonly reason: string }
  | ({ readonly kind: "known"; readonly sample: number; readonly ageMs: number } & GpuIdentity & GpuSample);

/** Limits of the card as the driver gives them. A value that this card does not have is undefined. */
export interface GpuLimits {
  readonly powerLimitWatts: number | undefined;
  /** The limit in force, the lowest of all limiters. */
  readonly enforcedPowerLimitWatts: number | undefined;
  readonly minPowerLimitWatts: number | undefined;
  readonly maxPowerLimitWatts: number | undefined;
  readonly defaultPowerLimitWatts: number | undefined;
  readonly graphicsClockMHz: number | undefined;
  readonly maxGraphicsClockMHz: number | undefined;
}

/** What the card had before it was touched. Kept on disk, so that a restarted agent restores the right values. */
export interface OriginalLimits {
  readonly uuid: string;
  readonly powerLimitWatts: number | undefined;
}

/** Limits to hold. Undefined leaves the card's own: the original power limit, free clocks. */
export interface WantedLimits {
  readonly powerLimitWatts: number | undefined;
  readonly maxGraphicsClockMHz: number | undefined;
}

/** How applying limits ended: what the card says it has now, or why not. */
export type LimitOutcome =
  | {
      readonly ok: true;
      /** Read back from the card after it was set. */
      readonly powerLimitWatts: number | undefined;
      readonly maxGraphicsClockMHz: number | undefined;
      /** True when the wish lay outside what the card takes and its nearest bound was set. */
      readonly clamped: boolean;
    }
  | { readonly ok: false; readonly reason: string };

/** The card as the rest of the Keeper sees it. No call blocks the loop or rejects; each ends within its deadline. */
export interface GpuDevice {
  /** Takes one sample; calls made while one is taken share it. */
  read(): Promise<GpuReading>;
  /** The last sample without asking the driver: `unknown` when it is older than `maxAgeMs`. */
  latest(maxAgeMs: number): GpuReading;
  limits(): Promise<GpuLimits | undefined>;
  /** The card's limits before the agent touched it, once they were read. */
  original(): OriginalLimits | undefined;
  /** Clamps, sets, reads back and holds: applied again whenever the driver was opened anew. */
  apply(wanted: WantedLimits): Promise<LimitOutcome>;
  setPowerLimitWatts(watts: number): Promise<LimitOutcome>;
  lockGraphicsClockMHz(max: number): Promise<LimitOutcome>;
  resetGraphicsClock(): Promise<LimitOutcome>;
  /** Back to what the card had; holds nothing any more. */
  restore(): Promise<LimitOutcome>;
  /** Ends the child. Limits stay as they are: `restore` first when the agent leaves. */
  close(): Promise<void>;
}

/**
 * The reading as the pure core takes it. VRAM of a process that the driver does not tell counts as 0 there, which is
 * safe: whether VRAM is free is judged by the card's total, never by the sum of processes (design §5).
 */
export function toCoreGpu(reading: GpuReading): Gpu {
  if (reading.kind === "absent") return { kind: "absent" };
  if (reading.kind === "unknown") return { kind: "unknown", reason: reading.reason };
  return {
    kind: "known",
    sample: reading.sample,
    vramTotalMiB: reading.vramTotalMiB,
    vramUsedMiB: reading.vramUsedMiB,
    temperatureC: reading.temperatureC,
    powerWatts: reading.powerWatts,
    processes: reading.processes.map(({ pid, vramMiB }) => ({ pid, vramMiB: vramMiB ?? 0 })),
  };
}
