/** The lab's GPU as a script drives it: heat, load, VRAM, processes, and every way a driver misbehaves. */
import { readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** What the card is and how it does. Every field is what the driver then reports; defaults are an idle RTX 3090. */
export interface FakeGpuState {
  readonly name: string;
  readonly uuid: string;
  readonly driverVersion: string;
  readonly vramTotalMiB: number;
  /** VRAM in use beside that of `processes`. */
  readonly vramUsedMiB: number;
  readonly temperatureC: number;
  readonly powerWatts: number;
  readonly utilizationPercent: number;
  readonly graphicsClockMHz: number;
  readonly maxGraphicsClockMHz: number;
  readonly minPowerLimitWatts: number;
  readonly maxPowerLimitWatts: number;
  readonly defaultPowerLimitWatts: number;
  /** Limit that the card has when the driver is loaded; the default one when undefined. */
  readonly startPowerLimitWatts: number | undefined;
  readonly processes: readonly FakeGpuProcess[];
  /** Number that grows with every load of the driver. */
  readonly generation: number;
  /** Functions that never return while they stand here; `all` is every one. */
  readonly hang: readonly string[];
  /** Milliseconds that a function takes, by its name or `all`. */
  readonly delayMs: Readonly<Record<string, number>>;
  /** Code that a function returns, by its name or `all` (`nvmlReturn_t`, `CUresult`). */
  readonly fail: Readonly<Record<string, number>>;
  /** A card that takes a power limit and does not set it. */
  readonly ignoresPowerLimit: boolean;
  /** `cuDriverGetVersion`: 12090 is CUDA 12.9. */
  readonly cudaVersion: number;
  /** A CUDA process that never comes to rest, so that a lock times out. */
  readonly cudaBusy: boolean;
  /** A checkpoint that fails and leaves its process failed. */
  readonly cudaBreaks: boolean;
}

export interface FakeGpuProcess {
  readonly pid: number;
  /** -1: the driver cannot tell. */
  readonly vramMiB: number;
  readonly kind?: "compute" | "graphics";
  /** Whether it leaves the card when the process dies. */
  readonly endsWithPid?: boolean;
}

/** What was set on the card since the driver was loaded. */
export interface FakeGpuLimits {
  readonly powerLimitWatts: number | undefined;
  readonly lockedMaxMHz: number | undefined;
}

export type CudaProcessState = "running" | "locked" | "checkpointed" | "failed";
const cudaStates: readonly CudaProcessState[] = ["running", "locked", "checkpointed", "failed"];

export const idleFakeGpu: FakeGpuState = {
  name: "NVIDIA GeForce RTX 3090",
  uuid: "GPU-00000000-0000-0000-0000-000000000001",
  driverVersion: "575.57.08",
  vramTotalMiB: 24_576,
  vramUsedMiB: 400,
  temperatureC: 40,
  powerWatts: 30,
  utilizationPercent: 0,
  graphicsClockMHz: 1800,
  maxGraphicsClockMHz: 2100,
  minPowerLimitWatts: 100,
  maxPowerLimitWatts: 350,
  defaultPowerLimitWatts: 350,
  startPowerLimitWatts: undefined,
  processes: [],
  generation: 1,
  hang: [],
  delayMs: {},
  fail: {},
  ignoresPowerLimit: false,
  cudaVersion: 12_090,
  cudaBusy: false,
  cudaBreaks: false,
};

/** `key=value` lines as the C side reads them (lab/gpu/fake_state.h). */
export function fakeGpuText(state: FakeGpuState): string {
  const lines: readonly (readonly [string, string | number | undefined])[] = [
    ["name", state.name],
    ["uuid", state.uuid],
    ["driver_version", state.driverVersion],
    ["vram_total_mib", state.vramTotalMiB],
    ["vram_used_mib", state.vramUsedMiB],
    ["temperature_c", state.temperatureC],
    ["power_mw", state.powerWatts * 1000],
    ["utilization_percent", state.utilizationPercent],
    ["graphics_mhz", state.graphicsClockMHz],
    ["graphics_max_mhz", state.maxGraphicsClockMHz],
    ["power_min_mw", state.minPowerLimitWatts * 1000],
    ["power_max_mw", state.maxPowerLimitWatts * 1000],
    ["power_default_mw", state.defaultPowerLimitWatts * 1000],
    ["power_start_mw", state.startPowerLimitWatts === undefined ? undefined : state.startPowerLimitWatts * 1000],
    ...state.processes.map(({ pid, vramMiB, kind, endsWithPid }) => {
      const flags = `${kind === "graphics" ? ":g" : ""}${endsWithPid ? ":l" : ""}`;
      return ["process", `${pid}:${vramMiB}${flags}`] as const;
    }),
    ["generation", state.generation],
    ...state.hang.map((name) => ["hang", name] as const),
    ...Object.entries(state.delayMs).map(([name, ms]) => [`delay_ms.${name}`, ms] as const),
    ...Object.entries(state.fail).map(([name, code]) => [`fail.${name}`, code] as const),
    ["power_ignores_set", state.ignoresPowerLimit ? 1 : 0],
    ["cuda_version", state.cudaVersion],
    ["cuda_busy", state.cudaBusy ? 1 : 0],
    ["cuda_breaks", state.cudaBreaks ? 1 : 0],
  ];
  return lines.flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}\n`])).join("");
}

/** One fake card: the folder that `buildFakeGpu` filled. Changes are seen at the driver's next call. */
export class FakeGpu {
  readonly folder: string;
  #state = idleFakeGpu;
  #writing: Promise<void> = Promise.resolve();

  constructor(folder: string) {
    this.folder = folder;
  }

  get state(): FakeGpuState {
    return this.#state;
  }

  /** Changes some of the state; resolves when the library sees it. */
  set(change: Partial<FakeGpuState>): Promise<void> {
    this.#state = { ...this.#state, ...change };
    const text = fakeGpuText(this.#state);
    this.#writing = this.#writing.then(async () => {
      const path = join(this.folder, "gpu.state");
      await writeFile(`${path}.new`, text, { mode: 0o600 });
      await rename(`${path}.new`, path);
    });
    return this.#writing;
  }

  /** Back to an idle card that nobody touched. */
  async reset(): Promise<void> {
    await this.#writing;
    for (const name of await readdir(this.folder)) {
      if (name === "gpu.set" || /^cuda\.\d+/.test(name)) await rm(join(this.folder, name), { force: true });
    }
    this.#state = idleFakeGpu;
    await this.set({});
  }

  /** The driver is unloaded and loaded: open handles are lost, limits are the card's own again. */
  reloadDriver(): Promise<void> {
    return this.set({ generation: this.#state.generation + 1 });
  }

  async limits(): Promise<FakeGpuLimits> {
    const set = await this.#read("gpu.set");
    if (set.get("generation") !== String(this.#state.generation)) {
      return { powerLimitWatts: undefined, lockedMaxMHz: undefined };
    }
    const locked = Number(set.get("locked_max_mhz"));
    return {
      powerLimitWatts: Number(set.get("power_limit_mw")) / 1000,
      lockedMaxMHz: locked === 0 ? undefined : locked,
    };
  }

  async cudaState(pid: number): Promise<CudaProcessState> {
    const state = (await this.#read(`cuda.${pid}`)).get("state");
    return cudaStates[Number(state ?? 0)] ?? "failed";
  }

  async #read(name: string): Promise<Map<string, string>> {
    const text = await readFile(join(this.folder, name), "utf8").catch(() => "");
    return new Map(
      text.split("\n").flatMap((line) => {
        const at = line.indexOf("=");
        return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const];
      }),
    );
  }
}
