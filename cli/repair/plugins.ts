import { readFileSync, readdirSync } from "node:fs";
import { basename } from "node:path";
import { progress } from "../output/terminal.ts";

/** A process of this machine, as /proc tells of it. */
export interface ProcessFacts {
  readonly pid: number;
  readonly args: readonly string[];
  /** Name of the parent's executable as the kernel keeps it. */
  readonly parent: string;
  /** `PULUMI_BACKEND_URL` that it was started with. */
  readonly backend: string | undefined;
}

/**
 * Plugins (providers, policy packs) of one backend whose engine was killed. They end by themselves only when the engine
 * asks them to, so they would stay for ever, and one may still be busy on the host. Pure.
 */
export function orphanedPlugins(processes: readonly ProcessFacts[], backend: string): number[] {
  const isPlugin = (args: readonly string[]): boolean =>
    basename(args[0] ?? "").startsWith("pulumi-resource-") ||
    args.some((arg) => /\/(run-policy-pack\/index\.js|lab\/providers\/[a-z]+\/main\.ts)$/.test(arg));
  return processes
    .filter((each) => each.backend === backend && each.parent !== "pulumi" && isPlugin(each.args))
    .map(({ pid }) => pid);
}

/** Kills the plugins that a dead engine of this backend left. Linux; elsewhere they stay. */
export function endOrphanedPlugins(backend: string): void {
  if (process.platform !== "linux") return;
  for (const pid of orphanedPlugins(readProcesses(), backend)) {
    try {
      process.kill(pid, "SIGKILL");
      progress(`repair: process ${String(pid)} is ended: a plugin whose engine was killed`);
    } catch {
      // It has ended by itself.
    }
  }
}

function readProcesses(): ProcessFacts[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        // Other people's processes cannot be read, and are none of ours.
        const environ = readFileSync(`/proc/${name}/environ`, "utf8").split("\0");
        const backend = environ
          .find((entry) => entry.startsWith("PULUMI_BACKEND_URL="))
          ?.split("=")
          .slice(1)
          .join("=");
        if (backend === undefined) return [];
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        const parentPid = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] ?? "";
        const parent = readFileSync(`/proc/${parentPid}/comm`, "utf8").trim();
        const args = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
        return [{ pid: Number(name), args, parent, backend }];
      } catch {
        return [];
      }
    });
}
