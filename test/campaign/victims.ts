// Finds and kills the real processes that work on one state folder. Linux: it reads /proc.
import { readFileSync, readdirSync } from "node:fs";
import { basename } from "node:path";

/** What is killed: one process, or the command line together with all that it started (not the lab). */
export const victims = ["engine", "provider", "command", "lab", "cli", "cli-and-engine"] as const;
export type Victim = (typeof victims)[number];

export interface FoundProcess {
  readonly pid: number;
  /** Name of the executable. */
  readonly name: string;
  readonly args: readonly string[];
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** Every live process that was started with `HIVE_STATE_DIR=<stateDir>`, whoever its parent is by now. */
export function processesOn(stateDir: string): FoundProcess[] {
  const wanted = `HIVE_STATE_DIR=${stateDir}`;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => {
      if (!read(`/proc/${name}/environ`).split("\0").includes(wanted)) return [];
      const args = read(`/proc/${name}/cmdline`)
        .split("\0")
        .filter((arg) => arg !== "");
      return args.length === 0 ? [] : [{ pid: Number(name), name: basename(args[0] ?? ""), args }];
    });
}

const isLab = (found: FoundProcess): boolean => found.args.some((arg) => arg.endsWith("/lab/main.ts"));

/** The processes to kill now for a victim; none while it does not run. */
export function targetsOf(
  victim: Victim,
  found: readonly FoundProcess[],
  known: { readonly cli: number; readonly lab: number | undefined },
): number[] {
  const named = (wanted: (each: FoundProcess) => boolean): number[] => found.filter(wanted).map(({ pid }) => pid);
  switch (victim) {
    case "engine":
      return named(({ name }) => name === "pulumi").slice(-1);
    case "provider":
      return named(({ name }) => name === "pulumi-resource-proxmoxve").slice(0, 1);
    case "command":
      return named(({ args }) =>
        args.some((arg) => arg.endsWith("pulumi-resource-command") || arg.includes("lab/providers/command/main")),
      ).slice(0, 1);
    case "lab":
      return known.lab === undefined ? [] : [known.lab];
    case "cli":
      return [known.cli];
    case "cli-and-engine":
      return [known.cli, ...named((each) => !isLab(each) && each.pid !== known.cli)];
  }
}

/** SIGKILL; a process that has gone by itself is left out of the answer. */
export function killAll(pids: readonly number[]): number[] {
  return pids.filter((pid) => {
    try {
      process.kill(pid, "SIGKILL");
      return true;
    } catch {
      return false;
    }
  });
}

/** Processes on the folder besides the lab: what a run left behind. */
export function leftovers(stateDir: string): FoundProcess[] {
  return processesOn(stateDir).filter((each) => !isLab(each));
}
