/** One rung down, or all of them undone: processes, application, driver, and the driver's word that VRAM is free. */
import type { CudaCheckpoint } from "../gpu/cudaTypes.ts";
import type { GpuDevice, GpuReading } from "../gpu/types.ts";
import { ProcessError } from "../processes/errors.ts";
import type { ProcessId } from "../processes/pids/stat.ts";
import { readSame, readStat } from "../processes/pids/stat.ts";
import { lowerService, raiseService } from "../processes/service/rungs.ts";
import type { ServiceHandles } from "../processes/service/rungs.ts";
import type { Rung } from "./core/types.ts";
import { within } from "./within.ts";

type KnownReading = Extract<GpuReading, { readonly kind: "known" }>;

/** What the rungs need beside the service itself. */
export interface RungPorts {
  /** The card; undefined where the GPU part is off. */
  readonly gpu: Pick<GpuDevice, "read"> | undefined;
  /** A client of the driver's checkpoint for one operation; closed after it. */
  readonly openCuda: () => CudaCheckpoint;
  /** Remembers, durably, whose VRAM the driver is about to move; an empty list forgets. */
  readonly noteCheckpoint: (service: string, processes: readonly ProcessId[]) => Promise<void>;
  readonly checkpointed: (service: string) => readonly ProcessId[];
}

/** Time between two looks at the card while VRAM is being freed, ms. */
const lookEveryMs = 50;
/** Share of what a service held that must be free before its move counts: servers keep a context of some hundred MiB. */
const freedShare = 0.5;
/** Longest wait for the running work of a CUDA process before its checkpoint, ms. */
const longestLockMs = 5_000;
/** Bound of undoing what the kernel does, ms: it takes microseconds unless a process hangs in a driver. */
const kernelMs = 5_000;

/** Moves a service down one rung; returns when it is confirmed. @throws when it could not be done */
export async function lowerBy(
  name: string,
  rung: Rung,
  handles: ServiceHandles,
  ports: RungPorts,
  deadlineMs: number,
): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  const left = (): number => Math.max(1, endMs - performance.now());
  if (rung !== "application" && rung !== "checkpoint") {
    await lowerService(handles, rung, deadlineMs);
    // What it held is free now: whoever waits for that room is not to wait for the next regular sample.
    if (rung === "term" || rung === "kill") await within(reading(ports), left(), "no sample").catch(() => undefined);
    return;
  }
  const { process } = handles;
  const held = await process.state();
  // Neither the application nor the driver can act on what does not run.
  if (held !== "running") await letRun(handles, left());
  try {
    const before = await reading(ports);
    const pids = await process.pids();
    if (rung === "application") await lowerService(handles, rung, left());
    else await checkpoint(name, pids, before, ports, left());
    if (before?.kind === "known") await untilFreed(before, pids, handles, ports, left);
  } finally {
    if (held === "frozen") await process.freeze(kernelMs);
    if (held === "stopped" || held === "partly") await process.stop(kernelMs);
  }
}

/** Undoes rungs, the last one first. Undoing what was not done is no error. @throws when one could not be undone */
export async function undo(
  name: string,
  rungs: readonly Rung[],
  handles: ServiceHandles,
  ports: RungPorts,
  deadlineMs: number,
): Promise<void> {
  // Whatever the record says: what a crash left half done is set free too.
  await letRun(handles, Math.min(kernelMs, deadlineMs));
  if (rungs.includes("checkpoint") || ports.checkpointed(name).length > 0) await restore(name, ports);
  if (rungs.includes("application")) await raiseService(handles, "application", deadlineMs);
}

/** Thawed and continued, whatever held it. */
export async function letRun(handles: ServiceHandles, deadlineMs: number): Promise<void> {
  const { process } = handles;
  const held = await process.state();
  if (held === "running" || held === "absent") return;
  if (held !== "stopped") await process.thaw(deadlineMs);
  if ((await process.state()) !== "running") await process.cont(deadlineMs);
}

async function reading(ports: RungPorts): Promise<GpuReading | undefined> {
  return ports.gpu?.read();
}

/** VRAM of these processes by the driver's word, MiB. */
function vramOf(seen: GpuReading | undefined, pids: readonly number[]): number {
  if (seen?.kind !== "known") return 0;
  return seen.processes.reduce((sum, { pid, vramMiB }) => sum + (pids.includes(pid) ? (vramMiB ?? 0) : 0), 0);
}

/**
 * Ends when the card itself shows the room: what an application or a checkpoint reports is not enough (design §5). What
 * others take or give back meanwhile is theirs, and says nothing of this move.
 */
async function untilFreed(
  before: KnownReading,
  pids: readonly number[],
  { process }: ServiceHandles,
  ports: RungPorts,
  left: () => number,
): Promise<void> {
  let ours = pids;
  const heldMiB = vramOf(before, ours);
  const usedBefore = before.vramUsedMiB - othersOf(before, ours);
  for (;;) {
    const now = await reading(ports);
    if (now?.kind === "known") {
      // A process that is new on the card may be the service's own: a worker that was born while it moved.
      if (now.processes.some(({ pid }) => !before.processes.some((each) => each.pid === pid))) {
        ours = [...new Set([...ours, ...(await process.pids())])];
      }
      const gone = heldMiB > 0 ? vramOf(now, ours) <= heldMiB * (1 - freedShare) : true;
      const used = now.vramUsedMiB - othersOf(now, ours);
      if (gone && used <= Math.max(0, usedBefore - heldMiB * freedShare)) return;
    }
    if (left() <= lookEveryMs) throw new ProcessError("deadline", "the driver does not show the VRAM as free in time");
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
}

/** VRAM of all others, as far as the driver names it, MiB. */
function othersOf(seen: KnownReading, ours: readonly number[]): number {
  return seen.processes.reduce((sum, { vramMiB }) => sum + (vramMiB ?? 0), 0) - vramOf(seen, ours);
}

async function checkpoint(
  name: string,
  pids: readonly number[],
  seen: GpuReading | undefined,
  ports: RungPorts,
  leftMs: number,
): Promise<void> {
  if (seen?.kind !== "known") throw new ProcessError("failed", "the card cannot be read: nothing is moved blindly");
  const onCard = seen.processes.filter(({ pid }) => pids.includes(pid));
  if (onCard.length === 0) return;
  const ids = onCard.flatMap(({ pid }) => readStat(pid) ?? []).map(({ pid, startTicks }) => ({ pid, startTicks }));
  await ports.noteCheckpoint(name, ids);
  const cuda = ports.openCuda();
  try {
    const moved = await cuda.suspend(onCard, Math.min(longestLockMs, leftMs / 2));
    if (moved.ok) return;
    if (moved.rolledBack !== false) await ports.noteCheckpoint(name, []);
    throw new ProcessError("failed", moved.reason);
  } finally {
    await cuda.close();
  }
}

async function restore(name: string, ports: RungPorts): Promise<void> {
  const living = ports.checkpointed(name).filter((id) => readSame(id) !== undefined);
  if (living.length > 0) {
    const cuda = ports.openCuda();
    try {
      const back = await cuda.resume(living.map(({ pid }) => pid));
      if (!back.ok) throw new ProcessError("failed", back.reason);
    } finally {
      await cuda.close();
    }
  }
  await ports.noteCheckpoint(name, []);
}
