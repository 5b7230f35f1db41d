// The processes that stand for the services: who lives, who is stopped, and their end.
import { spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { readIfPresent } from "../host/files.ts";
import { processStart } from "../host/lab-file.ts";
import { labServices, pidFileOf, workerCommand } from "./services.ts";

export interface Worker {
  readonly pid: number;
  /** Stopped or frozen: it computes nothing. */
  readonly still: boolean;
}

/** The live process of a service; undefined when it does not run. */
export function findWorker(servicesFolder: string, name: string): Worker | undefined {
  const file = pidFileOf(servicesFolder, name);
  const pid = Number(readIfPresent(file)?.trim());
  const start = readIfPresent(`${file}.start`)?.trim();
  if (!Number.isInteger(pid) || pid <= 1 || start === undefined || processStart(pid) !== start) return undefined;
  return { pid, still: isStill(pid) };
}

function isStill(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, "utf8");
    const state = stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3);
    return state === "T" || state === "t";
  } catch {
    return false;
  }
}

/** Starts the process of a service that asks for the card itself. Resolves when its pid file is there. */
export async function startWorker(servicesFolder: string, name: string): Promise<Worker> {
  const [program, ...args] = workerCommand(servicesFolder, name);
  const child = spawn(program, args, { detached: true, stdio: "ignore" });
  let fault: string | undefined;
  child.once("error", (error) => (fault = error.message));
  child.once("exit", (code) => (fault = `it ended with ${String(code)}`));
  child.unref();
  for (let tries = 0; tries < 500; tries += 1) {
    const worker = findWorker(servicesFolder, name);
    if (worker !== undefined && worker.pid === child.pid) return worker;
    if (fault !== undefined) break;
    await sleep(10);
  }
  throw new Error(`${name} did not start: ${fault ?? "no pid file"}`);
}

/** Ends the process of a service, whatever state it is in, and waits until it has gone; false when there was none. */
export async function endWorker(servicesFolder: string, name: string): Promise<boolean> {
  const worker = findWorker(servicesFolder, name);
  const file = pidFileOf(servicesFolder, name);
  if (worker !== undefined) {
    process.kill(worker.pid, "SIGKILL");
    for (let tries = 0; tries < 500 && findWorker(servicesFolder, name)?.pid === worker.pid; tries += 1)
      await sleep(10);
  }
  for (const path of [file, `${file}.start`, `${file}.new`]) rmSync(path, { force: true });
  return worker !== undefined;
}

/** Ends those of every service; gives how many there were. */
export async function endWorkers(servicesFolder: string): Promise<number> {
  const ended = await Promise.all(labServices.map(({ name }) => endWorker(servicesFolder, name)));
  return ended.filter(Boolean).length;
}
