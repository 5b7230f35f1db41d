/**
 * Keeps the trading VM's threads on its cores and everything else off them, by looking again and again: Proxmox starts
 * threads, systemd rewrites its slices, and people have tools. taskset(1) and chrt(1) of util-linux set what Node cannot.
 */
import { execFile } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { formatCpuList } from "../../../../../components/shared/cpuList.ts";
import type { GroupSeen, PinningDeed, PinningRule } from "../core/threads.ts";
import { planPinning, schedFifo } from "../core/threads.ts";
import { cpusOf, qemuPid, qemuVmids, threadsOf } from "./procThreads.ts";

const run = promisify(execFile);

export interface PinnerOptions {
  readonly rule: PinningRule;
  /** @default "/proc" */
  readonly procRoot?: string;
  /** @default "/run/qemu-server" */
  readonly pidFolder?: string;
  /** Where cgroup v2 is mounted. @default "/sys/fs/cgroup" */
  readonly cgroupRoot?: string;
  /** List of the CPUs that are online. @default "/sys/devices/system/cpu/online" */
  readonly onlineFile?: string;
  /** Runs a program; for tests. @default execFile with a limit of 5 s */
  readonly execute?: (program: string, argv: readonly string[]) => Promise<unknown>;
}

export interface PinnerReport {
  readonly applied: readonly PinningDeed[];
  /** What could not be done, in words; the next look tries again. */
  readonly faults: readonly string[];
}

export interface Pinner {
  /** One look, and what follows from it. Never throws. */
  check(): Promise<PinnerReport>;
}

/** What stays off the cores as a whole; VMs live in qemu.slice, each in a scope of its own. */
const topGroups: readonly string[] = [
  "system.slice",
  "user.slice",
  "init.scope",
  "lxc",
  "lxc.monitor",
  "machine.slice",
];

export function createPinner(options: PinnerOptions): Pinner {
  const { rule } = options;
  const procRoot = options.procRoot ?? "/proc";
  const pidFolder = options.pidFolder ?? "/run/qemu-server";
  const cgroupRoot = options.cgroupRoot ?? "/sys/fs/cgroup";
  const execute =
    options.execute ??
    ((program, argv) => run(program, [...argv], { timeout: 5000, env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" } }));

  async function groups(): Promise<GroupSeen[]> {
    const scopes = await readdir(join(cgroupRoot, "qemu.slice")).catch(() => []);
    const others = scopes.filter((name) => /^\d+\.scope$/.test(name) && name !== `${String(rule.vmid)}.scope`);
    const paths = [...topGroups, ...others.map((name) => `qemu.slice/${name}`)];
    const seen = await Promise.all(
      paths.map(async (path): Promise<GroupSeen[]> => {
        const list = await readFile(join(cgroupRoot, path, "cpuset.cpus.effective"), "latin1").catch(() => undefined);
        const cpus = list === undefined ? undefined : cpusOf(list);
        return cpus === undefined ? [] : [{ path, cpus }];
      }),
    );
    return seen.flat();
  }

  async function others() {
    const threads = [];
    for (const vmid of await qemuVmids(pidFolder)) {
      if (vmid === rule.vmid) continue;
      const pid = await qemuPid(procRoot, pidFolder, vmid);
      if (pid !== undefined) threads.push(...(await threadsOf(procRoot, pid)));
    }
    return threads;
  }

  /** Groups have a cpuset only where their parent hands it on. */
  async function enable(): Promise<void> {
    for (const path of ["", "qemu.slice"]) {
      const file = join(cgroupRoot, path, "cgroup.subtree_control");
      const has = await readFile(file, "latin1").catch(() => "cpuset");
      if (!has.split(/\s+/).includes("cpuset")) await writeFile(file, "+cpuset");
    }
  }

  async function apply(deed: PinningDeed): Promise<void> {
    switch (deed.kind) {
      case "affinity":
        await execute("taskset", ["-p", "-c", formatCpuList(deed.cpus), String(deed.tid)]);
        return;
      case "scheduler":
        if (deed.policy === schedFifo) await execute("chrt", ["-f", "-p", String(deed.priority), String(deed.tid)]);
        else await execute("chrt", ["-o", "-p", "0", String(deed.tid)]);
        return;
      case "group":
        await writeFile(join(cgroupRoot, deed.path, "cpuset.cpus"), formatCpuList(deed.cpus));
        return;
    }
  }

  return {
    async check() {
      const applied: PinningDeed[] = [];
      const faults: string[] = [];
      const attempt = async (what: string, work: () => Promise<void>): Promise<boolean> => {
        try {
          await work();
          return true;
        } catch (error) {
          // The first line is enough: it names the program and what the kernel said.
          faults.push(`${what}: ${error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error)}`);
          return false;
        }
      };
      await attempt("cpuset controller", enable);
      const online = cpusOf(
        await readFile(options.onlineFile ?? "/sys/devices/system/cpu/online", "latin1").catch(() => "x"),
      );
      if (online === undefined) return { applied, faults: [...faults, "the CPUs that are online cannot be read"] };
      const pid = await qemuPid(procRoot, pidFolder, rule.vmid);
      const threads = pid === undefined ? [] : await threadsOf(procRoot, pid);
      const plan = planPinning({ rule, online, threads, others: await others(), groups: await groups() });
      if (!plan.ok) return { applied, faults: [...faults, plan.reason] };
      for (const deed of plan.deeds) {
        const what = deed.kind === "group" ? deed.path : `${deed.kind} of thread ${String(deed.tid)}`;
        if (await attempt(what, () => apply(deed))) applied.push(deed);
      }
      return { applied, faults };
    },
  };
}
