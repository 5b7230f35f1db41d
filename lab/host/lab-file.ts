// lab.json: what a live lab tells other programs. It counts only while its process lives, so a killed lab leaves no trap.
import { execFileSync } from "node:child_process";
import { linkSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isErrno, isRecord, privateFolder, readJsonObject, writeFileAtomic } from "./files.ts";
import type { ReachableServer } from "../aws/machines.ts";
import type { ReachableGuest } from "./guests.ts";

export interface LabInfo {
  pid: number;
  /** Start of the process as the system names it: tells a reused pid from the lab. */
  processStart: string;
  /** ISO 8601. */
  startedAt: string;
  apiUrl: string;
  caCertFile: string;
  tokenFile: string;
  rootSocket: string;
  /** Carries the page's access token of this start. */
  pageUrl: string;
  ssh: { host: string; port: number; user: string; privateKeyFile: string; hostPublicKey: string };
  /** Address in vmbr0's network from which the host is administered. */
  adminAddress: string;
  /** Why commands cannot run over SSH on this system; absent where they can. */
  limitation?: string;
  /** Unix socket of the lab's controls: uplink and faults (lab/control.ts). */
  controlSocket: string;
  /** The AWS stand-in; the file is one for AWS_SHARED_CREDENTIALS_FILE, with the profiles `default` and `reaper`. */
  aws: { url: string; region: string; credentialsFile: string };
  /**
   * The machines' own network on this computer: where programs outside listen for them, and the port of SSH at each
   * machine's address. Absent where there is none.
   */
  network?: { cidr: string; outside: string; sshPort: number };
  guests: ReachableGuest[];
  /** Servers of the AWS stand-in. */
  servers: ReachableServer[];
}

export class LabAlreadyRunning extends Error {
  readonly pid: number;
  constructor(stateDir: string, pid: number) {
    super(`a lab already runs on ${stateDir} (process ${pid}); stop it first, or set HIVE_STATE_DIR to another folder`);
    this.pid = pid;
  }
}

/** Start time of a live process, undefined when there is none; Linux: clock ticks since boot, field 22 of proc(5) stat. */
export function processStart(pid: number): string | undefined {
  try {
    if (process.platform === "linux") {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return fields[0] === "Z" ? undefined : fields[19];
    }
    return (
      execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8", timeout: 5000 }).trim() || undefined
    );
  } catch {
    return undefined;
  }
}

/** Takes the state folder for this process. @throws LabAlreadyRunning when a live process has it. */
export function lockStateDir(stateDir: string): () => void {
  privateFolder(stateDir);
  const lock = join(stateDir, "lab.lock");
  const mine = join(stateDir, `lab.lock.${process.pid}`);
  const identity = { pid: process.pid, processStart: processStart(process.pid) ?? "" };
  writeFileAtomic(mine, JSON.stringify(identity));
  try {
    for (let tries = 0; tries < 20; tries += 1) {
      try {
        linkSync(mine, lock); // atomic, and the content is there from the first moment
        return () => {
          if (readJsonObject(lock)?.["pid"] === process.pid) rmSync(lock, { force: true });
        };
      } catch (error) {
        if (!isErrno(error, "EEXIST")) throw error;
      }
      const holder = readJsonObject(lock);
      const pid = typeof holder?.["pid"] === "number" ? holder["pid"] : 0;
      if (pid > 0 && processStart(pid) === holder?.["processStart"]) throw new LabAlreadyRunning(stateDir, pid);
      const stale = `${lock}.stale.${process.pid}`;
      try {
        renameSync(lock, stale);
        rmSync(stale, { force: true });
      } catch (error) {
        if (!isErrno(error, "ENOENT")) throw error; // another starter removed it first
      }
    }
    throw new Error(`${lock}: could not be taken`);
  } finally {
    rmSync(mine, { force: true });
  }
}

export function writeLabFile(stateDir: string, info: LabInfo): void {
  writeFileAtomic(join(stateDir, "lab.json"), `${JSON.stringify(info, null, 1)}\n`);
}

export function removeLabFile(stateDir: string): void {
  rmSync(join(stateDir, "lab.json"), { force: true });
}

/** The lab of `stateDir` if its process lives. */
export function readLabFile(stateDir: string): LabInfo | undefined {
  const found = readJsonObject(join(stateDir, "lab.json"));
  if (found === undefined || !isLabInfo(found)) return undefined;
  return processStart(found.pid) === found.processStart ? found : undefined;
}

function isLabInfo(value: unknown): value is LabInfo {
  if (!isRecord(value)) return false;
  const texts = [
    "processStart",
    "startedAt",
    "apiUrl",
    "caCertFile",
    "tokenFile",
    "rootSocket",
    "pageUrl",
    "adminAddress",
    "controlSocket",
  ];
  const ssh = value["ssh"];
  return (
    typeof value["pid"] === "number" &&
    texts.every((key) => typeof value[key] === "string") &&
    isRecord(ssh) &&
    typeof ssh["port"] === "number" &&
    ["host", "user", "privateKeyFile", "hostPublicKey"].every((key) => typeof ssh[key] === "string") &&
    isRecord(value["aws"]) &&
    Array.isArray(value["guests"]) &&
    Array.isArray(value["servers"])
  );
}
