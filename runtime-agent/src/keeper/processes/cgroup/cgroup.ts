import { mkdirSync, readFileSync, readdirSync, realpathSync, rmdirSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { valueOrThrow } from "../../../../../components/shared/faults.ts";
import { awaitUntil } from "../awaitUntil.ts";
import { ProcessError, codeOf, textOf } from "../errors.ts";
import { calmDown, hurry } from "./hurry.ts";
import { cgroup2Mounts, cgroup2PathOf, checkCgroupPath, isWithin, parseEvents, parsePids } from "./paths.ts";

/** `f_type` of a cgroup2 file system (statfs(2), CGROUP2_SUPER_MAGIC). */
const cgroup2Magic = 0x63677270;

/** @throws ProcessError `unsupported` when no cgroup v2 is mounted */
export function findCgroup2(): string {
  const [mount] = cgroup2Mounts(readFileSync("/proc/self/mountinfo", "utf8"));
  if (mount === undefined)
    throw new ProcessError("unsupported", "no cgroup v2 is mounted: the freeze rung needs one (cgroups(7))");
  return mount.folder;
}

/**
 * One cgroup v2 group and everything below it.
 *
 * Its files are read and written synchronously: the kernel answers from memory within microseconds, while the thread
 * pool costs two switches of context, which on a loaded machine are milliseconds of the 20 that a preemption has.
 */
export class Cgroup {
  /** Absolute path of its folder. */
  readonly folder: string;
  /** Its path in the hierarchy, as /proc/PID/cgroup writes it. */
  readonly path: string;

  private constructor(mount: string, segments: readonly string[]) {
    this.folder = join(mount, ...segments);
    this.path = `/${segments.join("/")}`;
  }

  /**
   * The group at `path` below the mount; it need not exist.
   * @throws FaultsError when the path would leave the mount or name its root
   * @throws ProcessError `refused` when it holds the Keeper itself, which would freeze and never thaw
   * @throws ProcessError `unsupported` when `mount` is no cgroup v2
   */
  static at(path: string, mount: string = findCgroup2()): Cgroup {
    const group = new Cgroup(realpathSync(mount), valueOrThrow("cgroup", checkCgroupPath("cgroup", path)));
    if (statfsSync(mount).type !== cgroup2Magic)
      throw new ProcessError("unsupported", `${mount} is no cgroup v2 file system`);
    const own = cgroup2PathOf(readFileSync("/proc/self/cgroup", "utf8"));
    if (own !== undefined && isWithin(own, group.path))
      throw new ProcessError(
        "refused",
        `cgroup ${group.path} holds the Keeper itself (${own}): give the service its own`,
      );
    return group;
  }

  /** Makes the group and its parents when they are missing. */
  create(): void {
    mkdirSync(this.folder, { recursive: true, mode: 0o755 });
  }

  exists(): boolean {
    return this.readEvents() !== undefined;
  }

  /** Moves a process into the group; its later children are born there. */
  attach(pid: number): void {
    this.write("cgroup.procs", String(pid));
  }

  /** Whether any process lives in it or below, and whether all of them are frozen; undefined when it is gone. */
  readEvents(): { readonly populated: boolean; readonly frozen: boolean } | undefined {
    const text = readIfThere(join(this.folder, "cgroup.events"));
    if (text === undefined) return undefined;
    const events = parseEvents(text);
    if (events === undefined) throw new ProcessError("unsupported", `${this.path} has no freezer (kernel before 5.2)`);
    return events;
  }

  /** Whether freezing was asked of this group itself, which also freezes processes that join later. */
  isFreezeAsked(): boolean {
    return readIfThere(join(this.folder, "cgroup.freeze"))?.trim() === "1";
  }

  /** Every process in it and in the groups below. */
  pids(): readonly number[] {
    return this.numbersIn("cgroup.procs");
  }

  /**
   * Freezes every process in it and below, and returns when the kernel says `frozen 1`. An empty group freezes too.
   * @throws ProcessError `deadline` when some process would not (it sleeps in the kernel); the group is thawed again
   */
  async freeze(deadlineMs: number): Promise<void> {
    this.write("cgroup.freeze", "1");
    const restore = this.readEvents()?.frozen === true ? undefined : hurry(this.numbersIn("cgroup.threads"));
    try {
      await this.awaitFrozen(true, deadlineMs);
    } catch (error) {
      // Half frozen is worse than running: nobody holds the group and nobody can use it.
      this.write("cgroup.freeze", "0");
      throw error;
    } finally {
      restore?.();
    }
  }

  /** Lets every process in it run on. A group below that was frozen by itself stays so, as does one whose parent is. */
  async thaw(deadlineMs: number): Promise<void> {
    calmDown(this.numbersIn("cgroup.threads"));
    this.write("cgroup.freeze", "0");
    await this.awaitFrozen(false, deadlineMs);
  }

  /** Sends SIGKILL to every process in it and below, frozen ones too, and returns when none is left. */
  async kill(deadlineMs: number): Promise<void> {
    if (!this.exists()) return;
    // Kernel 5.14: one write, and no fork escapes it. A frozen group dies as well.
    this.write("cgroup.kill", "1");
    await this.awaitEmpty(deadlineMs);
    // What starts in it next must not be born frozen.
    if (this.isFreezeAsked()) this.write("cgroup.freeze", "0");
  }

  /** Returns when no process is left in it or below. */
  async awaitEmpty(deadlineMs: number): Promise<void> {
    await awaitUntil(
      () => (this.readEvents()?.populated === true ? undefined : true),
      deadlineMs,
      () => `cgroup ${this.path} still holds ${this.pids().slice(0, 8).join(", ")}: not empty`,
    );
  }

  /** Removes the group and the groups below. @throws ProcessError when a process is left in it */
  remove(): void {
    const visit = (folder: string): void => {
      for (const child of childrenOf(folder)) visit(child);
      try {
        rmdirSync(folder);
      } catch (error) {
        if (codeOf(error) !== "ENOENT") throw new ProcessError("failed", textOf(error), { cause: error });
      }
    };
    visit(this.folder);
  }

  private numbersIn(file: "cgroup.procs" | "cgroup.threads"): readonly number[] {
    const found = new Set<number>();
    const visit = (folder: string): void => {
      for (const number of parsePids(readIfThere(join(folder, file)) ?? "")) found.add(number);
      for (const child of childrenOf(folder)) visit(child);
    };
    visit(this.folder);
    return [...found];
  }

  private async awaitFrozen(wanted: boolean, deadlineMs: number): Promise<void> {
    await awaitUntil(
      () => {
        const events = this.readEvents();
        if (events === undefined) throw new ProcessError("absent", `cgroup ${this.path} is gone`);
        return events.frozen === wanted ? true : undefined;
      },
      deadlineMs,
      () => `cgroup ${this.path} did not ${wanted ? "freeze" : "thaw"}`,
    );
  }

  private write(file: string, text: string): void {
    try {
      // Never O_CREAT: a path that is no cgroup must fail, not get a file.
      writeFileSync(join(this.folder, file), text, { flag: "r+" });
    } catch (error) {
      const code = codeOf(error);
      if (code === "ENOENT" && this.exists())
        throw new ProcessError("unsupported", `${this.path} has no ${file}: the kernel is too old`, { cause: error });
      throw new ProcessError(
        code === "ENOENT" || code === "ESRCH" || code === "ENODEV" ? "absent" : "failed",
        `writing ${text} to ${this.path}/${file}: ${textOf(error)}`,
        { cause: error },
      );
    }
  }
}

/** The text of a kernel file; undefined when its group is gone. */
function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    // ENODEV: the group was removed while its file was open. EOPNOTSUPP: a threaded group lists no processes.
    if (["ENOENT", "ENODEV", "EOPNOTSUPP"].includes(codeOf(error) ?? "")) return undefined;
    throw new ProcessError("failed", textOf(error), { cause: error });
  }
}

function childrenOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(folder, entry.name));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw new ProcessError("failed", textOf(error), { cause: error });
  }
}
