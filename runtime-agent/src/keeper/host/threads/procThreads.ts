/** Threads as the kernel shows them below `/proc`. What vanishes while it is read is left out: threads come and go. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseCpuList } from "../../../../../components/shared/cpuList.ts";
import type { ThreadSeen } from "../core/threads.ts";
import { threadKind } from "../core/threads.ts";

/** Threads that one process is read for: QEMU has dozens, never thousands. */
const mostThreads = 4096;

async function textOf(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "latin1");
  } catch {
    return undefined;
  }
}

/** The CPUs of a kernel list such as `0-3,8`; undefined when it is none. */
export function cpusOf(list: string): readonly number[] | undefined {
  const parsed = parseCpuList("cpus", list.trim());
  return parsed.ok ? parsed.value : undefined;
}

async function thread(folder: string, tid: number): Promise<ThreadSeen | undefined> {
  const [comm, status, stat] = [
    await textOf(join(folder, "comm")),
    await textOf(join(folder, "status")),
    await textOf(join(folder, "stat")),
  ];
  const allowed = cpusOf(/^Cpus_allowed_list:\s*(\S+)$/m.exec(status ?? "")?.[1] ?? "x");
  if (comm === undefined || stat === undefined || allowed === undefined) return undefined;
  // Field 2 of stat, the name, may hold blanks and brackets: count from its last bracket (proc_pid_stat(5)).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [priority, policy] = [Number(fields[37]), Number(fields[38])];
  if (!Number.isInteger(priority) || !Number.isInteger(policy)) return undefined;
  return { tid, cpus: allowed, policy, priority, ...threadKind(comm.trim()) };
}

/** Threads of one process. */
export async function threadsOf(procRoot: string, pid: number): Promise<ThreadSeen[]> {
  const tasks = join(procRoot, String(pid), "task");
  const names = await readdir(tasks).catch(() => []);
  const tids = names.filter((name) => /^\d{1,10}$/.test(name)).slice(0, mostThreads);
  const threads = await Promise.all(tids.map((tid) => thread(join(tasks, tid), Number(tid))));
  return threads.filter((seen) => seen !== undefined);
}

/**
 * Process of a VM, by `/run/qemu-server/VMID.pid`. A file left behind may name a stranger: the process must be one that
 * was started with `-id VMID`.
 */
export async function qemuPid(procRoot: string, pidFolder: string, vmid: number): Promise<number | undefined> {
  const text = (await textOf(join(pidFolder, `${String(vmid)}.pid`)))?.trim() ?? "";
  if (!/^[1-9]\d{0,9}$/.test(text)) return undefined;
  const words = ((await textOf(join(procRoot, text, "cmdline"))) ?? "").split("\0");
  return words.some((word, index) => word === "-id" && words[index + 1] === String(vmid)) ? Number(text) : undefined;
}

/** VMs that have a pid file. */
export async function qemuVmids(pidFolder: string): Promise<number[]> {
  const names = await readdir(pidFolder).catch(() => []);
  return names.flatMap((name) => {
    const vmid = /^([1-9]\d{2,8})\.pid$/.exec(name)?.[1];
    return vmid === undefined ? [] : [Number(vmid)];
  });
}
