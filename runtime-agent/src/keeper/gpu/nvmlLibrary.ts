/**
 * libnvidia-ml by its C interface. Layouts and numbers are those of nvml.h (NVML API 11 and 12, 64-bit Linux):
 * `nvmlMemory_v2_t` {u32 version; u64 total, reserved, free, used} is 40 bytes and its version is `40 | 2 << 24`;
 * `nvmlMemory_t` {u64 total, free, used}; `nvmlProcessInfo_t` of the `_v2`/`_v3` calls {u32 pid; u64 usedGpuMemory;
 * u32 gpuInstanceId, computeInstanceId} is 24 bytes; `nvmlUtilization_t` {u32 gpu, memory}. Power is in milliwatts.
 */
import { LibraryError, Library, cString } from "./library.ts";
import type { CType, CValue } from "./library.ts";
import * as nvml from "./nvmlReturn.ts";
import type { GpuIdentity, GpuLimits, GpuProcess, GpuSample, GpuSelector } from "./types.ts";

const mebibyte = 1_048_576n;
const memoryV2 = { size: 40, version: 40 | (2 << 24), total: 8, free: 24 };
const memoryV1 = { size: 24, total: 0, free: 8 };
const processInfo = { size: 24, pid: 0, usedGpuMemory: 8 };
const notAvailable = 0xffff_ffff_ffff_ffffn;
const clock = { graphics: 0, memory: 2 };
const temperatureGpu = 0;
const textBytes = 96;

function toMiB(bytes: bigint): number {
  return Number(bytes / mebibyte);
}

/** One card, opened. Every method throws a `LibraryError` with the driver's code. */
export class NvmlCard {
  readonly #library: Library;
  /** What the driver writes into, kept: memory that each sample takes anew and a later one frees comes to pieces. */
  readonly #out = Buffer.alloc(Math.max(memoryV2.size, memoryV1.size));
  readonly #count = Buffer.alloc(4);
  #list = Buffer.alloc(64 * processInfo.size);
  #device = 0n;

  constructor(path: string) {
    this.#library = new Library(path);
  }

  /** Initializes NVML and finds the card. */
  open(selector: GpuSelector): GpuIdentity {
    this.#call("nvmlInit_v2", []);
    const handle = Buffer.alloc(8);
    if ("uuid" in selector) {
      this.#call("nvmlDeviceGetHandleByUUID", ["pointer", "pointer"], Buffer.from(`${selector.uuid}\0`), handle);
    } else {
      this.#call("nvmlDeviceGetHandleByIndex_v2", ["uint32", "pointer"], selector.index, handle);
    }
    this.#device = handle.readBigUInt64LE(0);
    const driver = Buffer.alloc(textBytes);
    this.#call("nvmlSystemGetDriverVersion", ["pointer", "uint32"], driver, textBytes);
    return {
      name: this.#text("nvmlDeviceGetName"),
      uuid: this.#text("nvmlDeviceGetUUID"),
      driverVersion: cString(driver),
    };
  }

  sample(): GpuSample {
    const memory = this.#memory();
    const compute = this.#processes("compute");
    const onlyGraphics = this.#processes("graphics").filter(({ pid }) => compute.every((other) => other.pid !== pid));
    return {
      ...memory,
      temperatureC: this.#u32("nvmlDeviceGetTemperature", temperatureGpu),
      powerWatts: this.#watts("nvmlDeviceGetPowerUsage"),
      powerLimitWatts: this.#watts("nvmlDeviceGetPowerManagementLimit"),
      graphicsClockMHz: this.#u32("nvmlDeviceGetClockInfo", clock.graphics),
      memoryClockMHz: this.#u32("nvmlDeviceGetClockInfo", clock.memory),
      utilizationPercent: this.#pair("nvmlDeviceGetUtilizationRates", ["pointer", "pointer"])?.[0],
      // A process with both contexts stands in both lists, each time with all of its memory.
      processes: [...compute, ...onlyGraphics],
    };
  }

  limits(): GpuLimits {
    const constraints = this.#pair("nvmlDeviceGetPowerManagementLimitConstraints");
    return {
      powerLimitWatts: this.#watts("nvmlDeviceGetPowerManagementLimit"),
      enforcedPowerLimitWatts: this.#watts("nvmlDeviceGetEnforcedPowerLimit"),
      minPowerLimitWatts: constraints && constraints[0] / 1000,
      maxPowerLimitWatts: constraints && constraints[1] / 1000,
      defaultPowerLimitWatts: this.#watts("nvmlDeviceGetPowerManagementDefaultLimit"),
      graphicsClockMHz: this.#u32("nvmlDeviceGetClockInfo", clock.graphics),
      maxGraphicsClockMHz: this.#u32("nvmlDeviceGetMaxClockInfo", clock.graphics),
    };
  }

  setPowerLimit(watts: number): void {
    this.#onDevice("nvmlDeviceSetPowerManagementLimit", ["uint32"], Math.round(watts * 1000));
  }

  /** The graphics clock may not exceed `maxMHz`; the lower bound stays free. */
  lockGraphicsClock(maxMHz: number): void {
    this.#onDevice("nvmlDeviceSetGpuLockedClocks", ["uint32", "uint32"], 0, maxMHz);
  }

  resetGraphicsClock(): void {
    this.#onDevice("nvmlDeviceResetGpuLockedClocks", []);
  }

  #call(name: string, types: readonly CType[], ...values: CValue[]): void {
    const native = this.#library.find(name, types);
    const code = native ? native(...values) : nvml.nvmlFunctionNotFound;
    if (code !== nvml.nvmlSuccess) throw new LibraryError(nvml.nvmlWords(name, code), code);
  }

  #onDevice(name: string, types: readonly CType[], ...values: CValue[]): void {
    this.#call(name, ["pointer", ...types], this.#device, ...values);
  }

  /** Undefined for what this card or this library does not have; any other failure is thrown. */
  #optional<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      const code = error instanceof LibraryError ? error.code : undefined;
      if (code === nvml.nvmlNotSupported || code === nvml.nvmlFunctionNotFound) return undefined;
      throw error;
    }
  }

  #text(name: string): string {
    const buffer = Buffer.alloc(textBytes);
    this.#onDevice(name, ["pointer", "uint32"], buffer, textBytes);
    return cString(buffer);
  }

  /** A u32 by pointer, with an optional selector before it. */
  #u32(name: string, which?: number): number | undefined {
    const out = this.#out;
    return this.#optional(() => {
      if (which === undefined) this.#onDevice(name, ["pointer"], out);
      else this.#onDevice(name, ["int", "pointer"], which, out);
      return out.readUInt32LE(0);
    });
  }

  #watts(name: string): number | undefined {
    const milliwatts = this.#u32(name);
    return milliwatts === undefined ? undefined : milliwatts / 1000;
  }

  /** Two u32: by two pointers, or as one struct of two. */
  #pair(name: string, asStruct?: readonly CType[]): readonly [number, number] | undefined {
    const both = this.#out;
    return this.#optional(() => {
      if (asStruct) this.#call(name, asStruct, this.#device, both);
      else this.#onDevice(name, ["pointer", "pointer"], both, both.subarray(4));
      return [both.readUInt32LE(0), both.readUInt32LE(4)];
    });
  }

  #memory(): Pick<GpuSample, "vramTotalMiB" | "vramUsedMiB" | "vramFreeMiB"> {
    const v2 = this.#out.fill(0);
    v2.writeUInt32LE(memoryV2.version, 0);
    try {
      this.#onDevice("nvmlDeviceGetMemoryInfo_v2", ["pointer"], v2);
      return vram(v2.readBigUInt64LE(memoryV2.total), v2.readBigUInt64LE(memoryV2.free));
    } catch (error) {
      const code = error instanceof LibraryError ? error.code : undefined;
      if (code !== nvml.nvmlFunctionNotFound && code !== nvml.nvmlVersionMismatch) throw error;
    }
    const v1 = this.#out;
    this.#onDevice("nvmlDeviceGetMemoryInfo", ["pointer"], v1);
    return vram(v1.readBigUInt64LE(memoryV1.total), v1.readBigUInt64LE(memoryV1.free));
  }

  #processes(kind: GpuProcess["kind"]): GpuProcess[] {
    const stem = kind === "compute" ? "nvmlDeviceGetComputeRunningProcesses" : "nvmlDeviceGetGraphicsRunningProcesses";
    return (
      this.#optional(() => this.#processList(`${stem}_v3`, kind)) ??
      this.#optional(() => this.#processList(`${stem}_v2`, kind)) ??
      []
    );
  }

  #processList(name: string, kind: GpuProcess["kind"]): GpuProcess[] {
    const count = this.#count;
    // The list may grow between two calls; a handful of tries is enough, and the bound keeps a broken driver out.
    for (let tries = 0; tries < 5; tries += 1) {
      const list = this.#list;
      const room = list.length / processInfo.size;
      count.writeUInt32LE(room, 0);
      try {
        this.#onDevice(name, ["pointer", "pointer"], count, list);
      } catch (error) {
        if (!(error instanceof LibraryError) || error.code !== nvml.nvmlInsufficientSize) throw error;
        this.#list = Buffer.alloc(Math.min(count.readUInt32LE(0) + 16, 65_536) * processInfo.size);
        continue;
      }
      return Array.from({ length: Math.min(count.readUInt32LE(0), room) }, (_, index) => {
        const at = index * processInfo.size;
        const used = list.readBigUInt64LE(at + processInfo.usedGpuMemory);
        return {
          pid: list.readUInt32LE(at + processInfo.pid),
          vramMiB: used === notAvailable ? undefined : toMiB(used),
          kind,
        };
      });
    }
    throw new LibraryError(nvml.nvmlWords(name, nvml.nvmlInsufficientSize), nvml.nvmlInsufficientSize);
  }
}

function vram(total: bigint, free: bigint): Pick<GpuSample, "vramTotalMiB" | "vramUsedMiB" | "vramFreeMiB"> {
  return { vramTotalMiB: toMiB(total), vramUsedMiB: toMiB(total - free), vramFreeMiB: toMiB(free) };
}
