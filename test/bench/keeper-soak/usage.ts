/** Processor time of a process tree, and memory by a control group of its own. */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { processTree } from "../processTree.ts";

/** Clock ticks a second of /proc (USER_HZ: 100 on every Linux that Node runs on). */
const ticksPerSec = 100;
const bytesPerMiB = 1024 * 1024;

/** Processor time of the tree so far with that of children that have ended, s. */
export function cpuSecondsOf(root: number): number {
  let ticks = 0;
  for (const { pid } of processTree(root)) {
    try {
      const stat = readFileSync(`/proc/${String(pid)}/stat`, "latin1");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      // utime, stime, cutime, cstime (proc(5)).
      ticks += [11, 12, 13, 14].reduce((sum, field) => sum + Number(fields[field]), 0);
    } catch {
      // It has just ended.
    }
  }
  return ticks / ticksPerSec;
}

/** A control group that counts memory, with a Node of its own: pages of a binary that others run are charged to them. */
export interface MemoryGroup {
  /** Command that ends in Node: moves itself into the group first. */
  readonly node: readonly string[];
  /** What the group is charged for, less files that nobody has used for a while: the kubelet's working set, MiB. */
  workingSetMiB(): number;
  /** The part of it that is no file, MiB. */
  anonymousMiB(): number;
  close(): void;
}

interface Hierarchy {
  readonly folder: string;
  readonly usage: string;
  readonly inactive: string;
  readonly anonymous: string;
}

/** Version 1 and version 2 name the same numbers differently (kernel: admin-guide/cgroup-v1/memory, cgroup-v2). */
const hierarchies: readonly Hierarchy[] = [
  {
    folder: "/sys/fs/cgroup/memory",
    usage: "memory.usage_in_bytes",
    inactive: "total_inactive_file",
    anonymous: "total_rss",
  },
  { folder: "/sys/fs/cgroup", usage: "memory.current", inactive: "inactive_file", anonymous: "anon" },
];

/** @throws Error where memory cannot be counted by group */
export function openMemoryGroup(): MemoryGroup {
  const hierarchy = hierarchies.find(({ folder }) => existsSync(join(folder, "cgroup.procs")));
  if (hierarchy === undefined) throw new Error("no control group hierarchy that counts memory is mounted");
  const own = mkdtempSync(join(tmpdir(), "hive-node-"));
  const binary = join(own, "node");
  copyFileSync(process.execPath, binary);
  // Written back and dropped: what the copy left in the cache is charged to this process.
  spawnSync("sh", ["-c", `sync "$1" && dd of="$1" oflag=nocache conv=notrunc,fdatasync count=0 2>&1`, "sh", binary]);
  const folder = join(hierarchy.folder, `hive-soak-${String(process.pid)}-${String(Date.now())}`);
  mkdirSync(folder);
  if (!existsSync(join(folder, hierarchy.usage))) {
    rmdirSync(folder);
    throw new Error(`${hierarchy.folder} does not count memory`);
  }
  const number = (file: string): number => Number(readFileSync(join(folder, file), "latin1"));
  const stat = (name: string): number =>
    Number(
      new RegExp(`^${name} (\\d+)$`, "m").exec(readFileSync(join(folder, "memory.stat"), "latin1"))?.[1] ?? Number.NaN,
    );
  return {
    node: ["/bin/sh", "-c", 'echo 0 >"$1/cgroup.procs" && shift && exec "$@"', "sh", folder, binary],
    workingSetMiB: () => (number(hierarchy.usage) - stat(hierarchy.inactive)) / bytesPerMiB,
    anonymousMiB: () => stat(hierarchy.anonymous) / bytesPerMiB,
    close: () => {
      rmdirSync(folder);
      rmSync(own, { recursive: true, force: true });
    },
  };
}
