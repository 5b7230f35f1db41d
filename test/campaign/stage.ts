// One state folder with its lab and its stack, and the command line that works on them as a person's shell would.
import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exitFlag } from "../../cli/bin/exit.mjs";
import { findLab, hostRootFolder, startLabProcess, stopLabProcess, type LabInfo } from "../../lab/index.ts";
import { isRecord } from "../support/records.ts";
import { type HostSnapshot, takeHostSnapshot } from "../support/hostSnapshot.ts";
import { killAll, leftovers } from "./victims.ts";

const root = join(import.meta.dirname, "..", "..");
/** How long one command may take before it counts as hanging, in seconds. */
const hangSec = 300;
const taskDelayMs = 15;

export interface Ended {
  /** Exit status; 137 when it was killed. */
  readonly code: number;
  readonly hung: boolean;
  readonly stdout: string;
  readonly log: string;
  readonly seconds: number;
  /** Seconds from the start to the first line that tells of a change; absent when there was none. */
  readonly changingAfterSec: number | undefined;
}

/** A running command. */
export interface Running {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** Resolves at the first line that tells of a change, or at the end. */
  readonly changing: Promise<void>;
  readonly over: () => boolean;
}

/** What the backend holds of the stack, without the engine's help. */
export interface StoredState {
  /** `URN = id` of what a provider made; the URN alone for the rest and for steps, whose ids are drawn at random. */
  readonly resources: readonly string[];
  readonly pending: number;
}

/** Datasets of the installation itself: the lab lists them from its first ZFS command on. */
const installed = new Set(["rpool", "rpool/ROOT", "rpool/ROOT/pve-1", "rpool/data", "rpool/var-lib-vz"]);

/** The lines after which a command changes something. */
const changeLine = /bringing it up with engine|protection lifted|: delet|deleted /;

export class Stage {
  readonly stateDir: string;
  readonly labDir: string;
  #runs = 0;

  constructor() {
    this.stateDir = mkdtempSync(join(tmpdir(), "hive-kills-"));
    this.labDir = join(this.stateDir, "host");
  }

  async lab(): Promise<LabInfo> {
    return (await findLab(this.labDir)) ?? (await startLabProcess(this.labDir, { fixture: "occupied", taskDelayMs }));
  }

  /** The live lab's process. */
  async labPid(): Promise<number | undefined> {
    return (await findLab(this.labDir))?.pid;
  }

  start(args: readonly string[]): Running {
    this.#runs += 1;
    const logFile = join(this.stateDir, `run-${String(this.#runs).padStart(4, "0")}-${args[0] ?? ""}.log`);
    const outFile = `${logFile}.json`;
    const [log, out] = [openSync(logFile, "w", 0o600), openSync(outFile, "w", 0o600)];
    const begun = Date.now();
    const child = spawn(process.execPath, [exitFlag, join(root, "cli", "main.ts"), ...args], {
      cwd: root,
      env: { ...process.env, HIVE_STATE_DIR: this.stateDir, NO_COLOR: "1" },
      stdio: ["ignore", out, log],
    });
    closeSync(log);
    closeSync(out);
    let isOver = false;
    let hung = false;
    let changingAt: number | undefined;
    let tellChanging = (): void => undefined;
    const changing = new Promise<void>((done) => {
      tellChanging = done;
    });
    const watch = setInterval(() => {
      if (changingAt !== undefined || !changeLine.test(readFileSync(logFile, "utf8"))) return;
      changingAt = Date.now();
      tellChanging();
    }, 50);
    const guard = setTimeout(() => {
      hung = true;
      killAll([child.pid ?? 0, ...leftovers(this.stateDir).map(({ pid }) => pid)].filter((pid) => pid > 0));
    }, hangSec * 1000);
    const ended = new Promise<Ended>((done, fail) => {
      child.once("error", fail);
      child.once("exit", (status) => {
        isOver = true;
        clearInterval(watch);
        clearTimeout(guard);
        tellChanging();
        done({
          code: status ?? 137,
          hung,
          stdout: readFileSync(outFile, "utf8"),
          log: readFileSync(logFile, "utf8"),
          seconds: (Date.now() - begun) / 1000,
          changingAfterSec: changingAt === undefined ? undefined : (changingAt - begun) / 1000,
        });
      });
    });
    return { pid: child.pid ?? 0, ended, changing, over: () => isOver };
  }

  up(): Running {
    return this.start(["up", "--yes", "--json"]);
  }

  destroy(): Running {
    return this.start(["destroy", "--yes", "--unprotect", "all", "--json"]);
  }

  preview(): Running {
    return this.start(["preview", "--json"]);
  }

  /** Everything on the host: what the API tells, and the ZFS datasets and units behind it. */
  async snapshot(): Promise<HostSnapshot> {
    const host = hostRootFolder(this.labDir);
    const seen = await takeHostSnapshot(await this.lab(), host);
    const datasets: unknown = parsed(join(host, "var/lib/lab/zfs.json"));
    const names = isRecord(datasets) && isRecord(datasets["datasets"]) ? Object.keys(datasets["datasets"]) : [];
    const units = parsed(join(host, "var/lib/lab/units.json"));
    const active = isRecord(units) && isRecord(units["active"]) ? Object.keys(units["active"]) : [];
    return {
      ...seen,
      ...Object.fromEntries(names.filter((name) => !installed.has(name)).map((name) => [`dataset ${name}`, "there"])),
      ...Object.fromEntries(active.map((name) => [`unit ${name}`, "active"])),
    };
  }

  /** Every state the firewall has been in since the last call, in order. */
  firewallStates(): unknown[] {
    const file = join(this.labDir, "firewall.jsonl");
    const lines = readText(file).split("\n");
    rmSync(file, { force: true });
    return lines.filter((line) => line !== "").map((line): unknown => JSON.parse(line));
  }

  storedState(): StoredState {
    const content = parsed(join(this.stateDir, "backend/.pulumi/stacks/hive/genesis.json"));
    const checkpoint = isRecord(content) ? content["checkpoint"] : undefined;
    const latest = isRecord(checkpoint) ? checkpoint["latest"] : undefined;
    const list = (name: string): Record<string, unknown>[] => {
      const value = isRecord(latest) ? latest[name] : undefined;
      return Array.isArray(value) ? value.filter(isRecord) : [];
    };
    return {
      resources: list("resources")
        .map(({ urn, id, type, delete: pendingDelete }) => {
          const made = String(type).startsWith("proxmoxve:") ? ` = ${String(id)}` : "";
          return `${String(urn)}${made}${pendingDelete === true ? " (to be deleted)" : ""}`;
        })
        .toSorted(),
      pending: list("pending_operations").length,
    };
  }

  /** Leaves a text in the folder, for whoever looks at it later. */
  note(name: string, text: string): void {
    writeFileSync(join(this.stateDir, name), text, { mode: 0o600 });
  }

  /** Ends what runs on the folder and, unless it is to be looked at, removes it. */
  async close(keep: boolean): Promise<void> {
    killAll(leftovers(this.stateDir).map(({ pid }) => pid));
    const lab = await findLab(this.labDir);
    if (lab !== undefined) await stopLabProcess(lab);
    if (!keep) rmSync(this.stateDir, { recursive: true, force: true });
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function parsed(file: string): unknown {
  try {
    return JSON.parse(readText(file));
  } catch {
    return undefined;
  }
}
