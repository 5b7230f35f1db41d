import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cgroup } from "../../runtime-agent/src/keeper/processes/cgroup/cgroup.ts";
import { cgroup2Mounts } from "../../runtime-agent/src/keeper/processes/cgroup/paths.ts";

const cgroup2Magic = 0x63677270;

/** A cgroup of a test's own, with everything in it killed and removed at the end. */
export interface TestCgroups {
  /** The cgroup v2 mount. */
  readonly mount: string;
  /** Path of the test's own group, below the mount. */
  readonly path: string;
  /** A group below the test's own, made. */
  group(name: string): Cgroup;
  /** Kills what is left in the groups, removes them, and unmounts what was mounted for them. */
  remove(): Promise<void>;
}

/** A cgroup v2 where this process may make groups, its own mount if there is none; or why there is none. */
export function openTestCgroups(): TestCgroups | { readonly missing: string } {
  if (process.platform !== "linux") return { missing: "control groups are Linux's" };
  if (process.getuid?.() !== 0) return { missing: "making control groups takes root here" };
  const [mounted] = cgroup2Mounts(readFileSync("/proc/self/mountinfo", "utf8"));
  let mount = mounted?.folder;
  let unmount = (): void => undefined;
  if (mount === undefined) {
    const folder = mkdtempSync(join(tmpdir(), "hive-cgroup2-"));
    const done = spawnSync("mount", ["-t", "cgroup2", "none", folder], { encoding: "utf8" });
    if (done.status !== 0) {
      rmdirSync(folder);
      return { missing: `no cgroup v2 is mounted and none can be: ${done.stderr.trim()}` };
    }
    mount = folder;
    unmount = () => {
      spawnSync("umount", [folder]);
      rmdirSync(folder);
    };
  }
  if (statfsSync(mount).type !== cgroup2Magic) return { missing: `${mount} is no cgroup v2` };
  const path = `hive-test-${String(process.pid)}-${randomBytes(3).toString("hex")}`;
  try {
    mkdirSync(join(mount, path));
  } catch (error) {
    unmount();
    return { missing: `no group can be made in ${mount}: ${error instanceof Error ? error.message : String(error)}` };
  }
  const root = mount;
  return {
    mount: root,
    path,
    group: (name) => {
      const made = Cgroup.at(`${path}/${name}`, root);
      made.create();
      return made;
    },
    remove: async () => {
      const all = Cgroup.at(path, root);
      await all.kill(5_000);
      all.remove();
      unmount();
    },
  };
}
