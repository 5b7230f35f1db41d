import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { LabInfo } from "../../lab/index.ts";
import { progress } from "../output/terminal.ts";
import { type StateFolder, prepareStateFolder, readIfThere, writeWhole } from "./stateFolder.ts";

/** A lab to work on, and what to do with it afterwards. */
export interface UsedLab {
  readonly info: LabInfo;
  /** Stops the lab if a command started it and no other command works on it. */
  readonly release: () => Promise<void>;
}

/** How long a lab that another command starts at the same moment is waited for, in ms. */
const patienceMs = 10_000;

/** The lab that runs already, or one started now. Commands that share one note themselves: the last one out stops it. */
export async function useLab(folder: StateFolder, why: string): Promise<UsedLab> {
  prepareStateFolder(folder);
  const users = join(folder.root, "lab-users");
  const own = join(users, String(process.pid));
  const startedFor = join(users, "started-for-commands");
  mkdirSync(users, { recursive: true, mode: 0o700 });
  writeWhole(own, "");
  const { findLab, startLabProcess, stopLabProcess } = await import("../../lab/index.ts");
  const release = async (info: LabInfo): Promise<void> => {
    rmSync(own, { force: true });
    if (readIfThere(startedFor) !== String(info.pid) || liveUsers(users).length > 0) return;
    await (await import("../sentinel/endSentinel.ts")).endSentinel(folder.lab);
    await stopLabProcess(info);
    progress("lab: stopped, its state is kept");
  };
  try {
    let info = await findLab(folder.lab);
    if (info === undefined) {
      progress(`lab: starting it, because ${why}; its state is in ${folder.lab}`);
      info = await startLabProcess(folder.lab).catch((error: unknown) => startedByAnother(findLab, folder.lab, error));
      writeWhole(startedFor, String(info.pid));
      progress(`lab: its Proxmox API answers at ${info.apiUrl}`);
    }
    const used = info;
    return { info: used, release: () => release(used) };
  } catch (error) {
    rmSync(own, { force: true });
    throw error;
  }
}

/** The lab that another command has started meanwhile. @throws the failure of our own start when there is none */
async function startedByAnother(
  findLab: (stateDir: string) => Promise<LabInfo | undefined>,
  stateDir: string,
  failure: unknown,
): Promise<LabInfo> {
  if (!(failure instanceof Error) || !/already runs|ended before it was ready/.test(failure.message)) throw failure;
  for (const giveUp = Date.now() + patienceMs; Date.now() < giveUp; await sleep(100)) {
    const info = await findLab(stateDir);
    if (info !== undefined) return info;
  }
  throw failure;
}

/** Processes that noted themselves and live. */
function liveUsers(folder: string): number[] {
  return readdirSync(folder)
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        process.kill(pid, 0);
        return true;
      } catch {
        rmSync(join(folder, String(pid)), { force: true });
        return false;
      }
    });
}
