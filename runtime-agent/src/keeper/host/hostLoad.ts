/**
 * Memory, load and disks of the host. Memory is read from /proc each second; the rest by systeminformation, loaded when
 * first asked for, since it brings hundreds of kilobytes that most loops never need.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { MemorySeen } from "./core/types.ts";

/** MemTotal and MemAvailable of /proc/meminfo, and the 10 s share of `some` in /proc/pressure/memory. */
export function parseMemory(meminfo: string, pressure: string | undefined): MemorySeen | undefined {
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d{1,15}) kB$`, "m").exec(meminfo)?.[1]);
  const [total, available] = [kib("MemTotal"), kib("MemAvailable")];
  if (!Number.isFinite(total) || !Number.isFinite(available)) return undefined;
  const stalled = Number(/^some avg10=(\d{1,3}\.\d{1,2}) /m.exec(pressure ?? "")?.[1]);
  return {
    totalMiB: total / 1024,
    availableMiB: available / 1024,
    ...(Number.isFinite(stalled) ? { stalledPercent: stalled } : {}),
  };
}

/** Undefined when the kernel does not say: nothing is then decided for want of memory. */
export async function readMemory(procRoot = "/proc"): Promise<MemorySeen | undefined> {
  const text = (file: string): Promise<string | undefined> =>
    readFile(join(procRoot, file), "latin1").catch(() => undefined);
  const meminfo = await text("meminfo");
  // Kernels with psi=0 have no pressure file.
  return meminfo === undefined ? undefined : parseMemory(meminfo, await text("pressure/memory"));
}

export interface HostLoad {
  /** Of all CPUs, percent. */
  readonly cpuPercent: number;
  readonly load1: number;
  readonly disks: readonly { readonly mount: string; readonly usedPercent: number }[];
}

/** A slow look, for status and metrics; undefined when it fails or does not end in time. */
export async function readHostLoad(deadlineMs = 5000): Promise<HostLoad | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), deadlineMs);
    timer.unref();
  });
  const look = async (): Promise<HostLoad> => {
    const { currentLoad, fsSize } = await import("systeminformation");
    const [load, disks] = [await currentLoad(), await fsSize()];
    return {
      cpuPercent: load.currentLoad,
      load1: load.avgLoad,
      disks: disks.slice(0, 64).map(({ mount, use }) => ({ mount, usedPercent: use })),
    };
  };
  try {
    return await Promise.race([look().catch(() => undefined), late]);
  } finally {
    clearTimeout(timer);
  }
}
