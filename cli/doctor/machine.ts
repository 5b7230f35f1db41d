import type { Check } from "./check.ts";

/** What this machine has. A part that could not be read is `undefined`. */
export interface MachineFacts {
  /** Memory that a new process can have without swapping, in bytes. */
  readonly availableMemory: number | undefined;
  /** Space left for an ordinary user under the cache, in bytes. */
  readonly freeDisk: number | undefined;
  /** Folder that the space was measured for. */
  readonly cache: string;
  readonly cpus: number | undefined;
}

const gib = 2 ** 30;
/** Room for the Go compiler with an empty module cache: the engine and the provider link hundreds of packages each. */
const neededToBuild = { memory: 4 * gib, disk: 6 * gib, cpus: 2 };
/** Room for engine, provider, policies, command line and lab side by side. */
const neededToRun = { memory: 1.5 * gib, disk: gib / 2, cpus: 1 };

const shown = (bytes: number): string => `${(bytes / gib).toFixed(1)} GiB`;

/**
 * Whether this machine has what a set-up needs, or a run once the toolchain is there. What could not be read is told
 * and does not fail. Pure.
 */
export function judgeMachine(facts: MachineFacts, toolchainIsReady: boolean): Check[] {
  const needed = toolchainIsReady ? neededToRun : neededToBuild;
  const why = toolchainIsReady ? "to run" : "to build the toolchain";
  const judge = (
    name: string,
    found: number | undefined,
    least: number,
    show: (value: number) => string,
    fix: string,
  ): Check => {
    if (found === undefined) return { name, ok: true, found: "could not be read on this machine" };
    const ok = found >= least;
    return { name, ok, found: `${show(found)}; needed ${why}: ${show(least)}`, fix: ok ? undefined : fix };
  };
  return [
    judge(
      "memory",
      facts.availableMemory,
      needed.memory,
      (value) => `${shown(value)} available`,
      "Close programs, or add swap: sudo fallocate -l 4G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && sudo swapon /swapfile",
    ),
    judge(
      "disk",
      facts.freeDisk,
      needed.disk,
      (value) => `${shown(value)} free`,
      `Free space on the disk of ${facts.cache}, or keep the cache elsewhere: export HIVE_CACHE=/path/with/space`,
    ),
    judge(
      "cpus",
      facts.cpus,
      needed.cpus,
      (value) => `${String(value)} CPU${value === 1 ? "" : "s"}`,
      "It works with fewer, only slower: give this machine more if you can.",
    ),
  ];
}

/** Longest that the machine is asked, in ms: its tools may hang on a dead network mount. */
const patienceMs = 4_000;

/** Asks this machine. Never throws; what does not answer in time is left out. */
export async function readMachine(cache: string): Promise<MachineFacts> {
  // Large and needed here alone.
  const { default: information } = await import("systeminformation");
  const inTime = async <T>(asked: Promise<T>): Promise<T | undefined> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((done) => {
      timer = setTimeout(() => {
        done(undefined);
      }, patienceMs);
    });
    try {
      return await Promise.race([asked, late]);
    } catch {
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  };
  const [memory, disks, cpu] = await Promise.all([
    inTime(information.mem()),
    inTime(information.fsSize()),
    inTime(information.cpu()),
  ]);
  return {
    cache,
    availableMemory: memory?.available,
    freeDisk: disks === undefined ? undefined : freeUnder(cache, disks),
    cpus: cpu?.cores,
  };
}

/** Space left on the file system that holds a folder: of all mounts above it the deepest. Pure. */
export function freeUnder(
  folder: string,
  disks: readonly { readonly mount: string; readonly available: number }[],
): number | undefined {
  const above = disks.filter(
    ({ mount }) => folder === mount || folder.startsWith(mount.endsWith("/") ? mount : `${mount}/`),
  );
  return above.toSorted((a, b) => b.mount.length - a.mount.length)[0]?.available;
}
