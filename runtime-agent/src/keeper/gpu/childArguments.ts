/** How the children are started. Apart from their bodies, so that the parent never loads the FFI library. */
import type { GpuSelector } from "./types.ts";

/** Name by which the dynamic loader finds NVML; the driver package puts it there. */
export const defaultNvmlLibrary = "libnvidia-ml.so.1";
/** Name by which the dynamic loader finds the CUDA driver. */
export const defaultCudaLibrary = "libcuda.so.1";

/**
 * Flags of Node that keep a child small: before the bundle in its command. Its work is a few driver calls a second, so
 * it needs no compiler; a run from `.ts` sources does (the type stripper is WebAssembly).
 */
export const smallChildFlags: readonly string[] = ["--jitless", "--max-old-space-size=24", "--max-semi-space-size=1"];

/** Arguments of `runGpuChild`, after the command of the child. */
export function gpuChildArguments(library: string | undefined, selector: GpuSelector): string[] {
  const which = "uuid" in selector ? selector.uuid : String(selector.index);
  return [library ?? defaultNvmlLibrary, which, String(process.pid)];
}

/** Environment that a driver library may need; the agent's own stays here. */
export function childEnvironment(): Record<string, string> {
  const names = ["PATH", "LD_LIBRARY_PATH", "LANG", "CUDA_VISIBLE_DEVICES", "MALLOC_ARENA_MAX"];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}
