import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const recordBytes = 16;

/** What one process of the tree has done: how many steps, and a value that only all of them in order give. */
export interface Progress {
  readonly steps: number;
  readonly chain: number;
}

/** A tree of real CPU-bound processes, two levels deep, each counting its work in a shared file. */
export interface Burner {
  /** The first process: parent of half of the workers, and of the process that started the others. */
  readonly root: number;
  readonly processes: number;
  /** What each worker has done so far. */
  progress(): readonly Progress[];
  /** Returns when each worker has done at least `steps` more than in `since`. */
  awaitProgress(since: readonly Progress[], steps: number, deadlineMs: number): Promise<void>;
  /** Kills the tree and removes its file. */
  end(): Promise<void>;
}

/** Why no burner can run here; undefined when one can. */
export function burnerMissing(): string | undefined {
  return spawnSync("perl", ["-e", "exit 0"]).status === 0 ? undefined : "no perl on PATH";
}

/** The chain value after `steps` steps of the worker in this slot. */
export function chainAfter(slot: number, steps: number): number {
  let chain = slot;
  for (let step = 1; step <= steps; step += 1) chain = (Math.imul(chain, 69069) + step) >>> 0;
  return chain;
}

/** The slots whose work is not exactly every step done once and in order. */
export function brokenChains(progress: readonly Progress[]): readonly number[] {
  return progress.flatMap(({ steps, chain }, slot) => (chainAfter(slot, steps) === chain ? [] : [slot]));
}

/**
 * Starts `processes` workers and waits until each has done a step.
 *
 * @param options.cgroup folder of a cgroup v2 that the whole tree is born in
 * @param options.rounds length of a step: 2,000 is about 0.1 ms of a core
 */
export async function startBurner(
  processes: number,
  options: { readonly cgroup?: string; readonly rounds?: number; readonly deadlineMs?: number } = {},
): Promise<Burner> {
  const folder = mkdtempSync(join(tmpdir(), "hive-burner-"));
  const records = join(folder, "records");
  writeFileSync(records, "");
  truncateSync(records, processes * recordBytes);
  const script = join(import.meta.dirname, "burner.pl");
  const child = spawn(
    "perl",
    [
      script,
      records,
      String(processes),
      String(options.rounds ?? 2_000),
      ...(options.cgroup === undefined ? [] : [options.cgroup]),
    ],
    // A group of its own: `end` reaches every worker, those of the second level too.
    { stdio: ["ignore", "ignore", "inherit"], detached: true },
  );
  const exited = once(child, "exit");
  await once(child, "spawn");
  const root = child.pid ?? 0;
  const file = openSync(records, "r");
  const buffer = Buffer.alloc(processes * recordBytes);
  const progress = (): readonly Progress[] => {
    readSync(file, buffer, 0, buffer.length, 0);
    return Array.from({ length: processes }, (_, slot) => ({
      steps: Number(buffer.readBigUInt64LE(slot * recordBytes)),
      chain: Number(buffer.readBigUInt64LE(slot * recordBytes + 8)),
    }));
  };
  const awaitProgress = async (since: readonly Progress[], steps: number, deadlineMs: number): Promise<void> => {
    const until = performance.now() + deadlineMs;
    const behind = (): number => progress().filter((now, slot) => now.steps < (since[slot]?.steps ?? 0) + steps).length;
    for (let left = behind(); left > 0; left = behind()) {
      if (performance.now() > until) throw new Error(`${String(left)} of ${String(processes)} workers do not go on`);
      await sleep(2);
    }
  };
  const end = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      try {
        process.kill(-root, "SIGKILL");
      } catch {
        // The whole group has gone already.
      }
    }
    await exited;
    closeSync(file);
    rmSync(folder, { recursive: true });
  };
  try {
    await awaitProgress([], 1, options.deadlineMs ?? 20_000);
  } catch (error) {
    await end();
    throw error;
  }
  return { root, processes, progress, awaitProgress, end };
}
