/** Reading /proc's words about control groups (cgroups(7), proc(5)). Pure. */
import type { Checked } from "../../../../../components/shared/faults.ts";
import { checked, fault } from "../../../../../components/shared/check.ts";

/** Longest file name of the kernel (NAME_MAX), and a bound of our own for the whole path. */
const longestName = 255;
const longestPath = 1024;

/** Octal escapes of /proc/PID/mountinfo: space, tab, newline, backslash. */
function unescapeMount(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

export interface CgroupMount {
  /** Where it is mounted. */
  readonly folder: string;
  /** Which cgroup of the hierarchy the mount shows, `/` for all of it. */
  readonly root: string;
}

/** The cgroup v2 mounts of a /proc/PID/mountinfo, the ones that show the whole hierarchy first. */
export function cgroup2Mounts(mountinfo: string): readonly CgroupMount[] {
  const mounts: CgroupMount[] = [];
  for (const line of mountinfo.split("\n")) {
    const [before, after] = line.split(" - ");
    if (before === undefined || after?.split(" ")[0] !== "cgroup2") continue;
    const [, , , root, folder] = before.split(" ");
    if (root !== undefined && folder !== undefined)
      mounts.push({ folder: unescapeMount(folder), root: unescapeMount(root) });
  }
  return mounts.sort((a, b) => Number(b.root === "/") - Number(a.root === "/"));
}

/** The v2 path of a /proc/PID/cgroup (its line `0::PATH`); undefined when v2 is not mounted or the group is deleted. */
export function cgroup2PathOf(procCgroup: string): string | undefined {
  const line = procCgroup.split("\n").find((one) => one.startsWith("0::"));
  const path = line?.slice(3);
  return path === undefined || path === "" || path.endsWith(" (deleted)") ? undefined : path;
}

/**
 * The segments of a configured cgroup path, below the mount: `hive/muse` or `/hive/muse`.
 * No empty, `.` or `..` segment, no control character, nothing that the kernel keeps for its own files (`cgroup.…`),
 * and never the root, whose freezing would stop the machine.
 */
export function checkCgroupPath(property: string, path: string): Checked<readonly string[]> {
  const segments = path.replace(/^\//, "").split("/");
  const bad = segments.find(
    (segment) =>
      segment === "" ||
      segment === "." ||
      segment === ".." ||
      Buffer.byteLength(segment) > longestName ||
      /\p{Cc}/u.test(segment) ||
      /^(?:cgroup|memory|cpu|io|pids|cpuset|rdma|hugetlb|misc)\./.test(segment),
  );
  if (bad === undefined && Buffer.byteLength(path) <= longestPath) return checked([], segments);
  return checked(
    [
      fault(
        property,
        path,
        `a path of a cgroup below the cgroup v2 mount, at most ${String(longestPath)} bytes, without "." or ".." or empty parts`,
        "Name the service's own cgroup, for example hive/muse or system.slice/ollama.service.",
      ),
    ],
    segments,
  );
}

/** Whether `path` is `ancestor` or below it; both absolute cgroup paths. */
export function isWithin(path: string, ancestor: string): boolean {
  return ancestor === "/" || path === ancestor || path.startsWith(`${ancestor}/`);
}

/** The numbers of `cgroup.events`. */
export function parseEvents(text: string): { readonly populated: boolean; readonly frozen: boolean } | undefined {
  const value = (name: string): string | undefined => new RegExp(`^${name} ([01])$`, "m").exec(text)?.[1];
  const populated = value("populated");
  const frozen = value("frozen");
  return populated === undefined || frozen === undefined
    ? undefined
    : { populated: populated === "1", frozen: frozen === "1" };
}

/** The pids of a `cgroup.procs`. A process of another pid namespace reads 0 and is left out: no signal could name it. */
export function parsePids(text: string): readonly number[] {
  return text
    .split("\n")
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid > 0);
}
