/**
 * The lab: a Hive with no hardware. A Proxmox VE API, the host's and the guests' SSH, and a page that shows it all,
 * on loopback, with every byte of state below one folder.
 */
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { RunningAws } from "./aws/index.ts";
import { isErrno, privateFolder, readJsonObject, writeFileAtomic } from "./host/files.ts";
import { portTaken, startHost } from "./host/index.ts";
import type { RunningHost } from "./host/index.ts";
import {
  LabAlreadyRunning,
  lockStateDir,
  processStart,
  readLabFile,
  removeLabFile,
  writeLabFile,
} from "./host/lab-file.ts";
import type { LabInfo } from "./host/lab-file.ts";
import { openNetwork } from "./host/network.ts";
import { Ports } from "./host/ports.ts";
import { RootApi, textOf } from "./host/root-api.ts";
import { Uplink } from "./host/uplink.ts";
import type { UplinkRules } from "./host/uplink.ts";
import { collectView } from "./page/collect.ts";
import { startPage } from "./page/server.ts";
import type { RunningPage } from "./page/server.ts";

export { LabAlreadyRunning } from "./host/lab-file.ts";
export type { LabInfo } from "./host/lab-file.ts";
export type { ReachableGuest } from "./host/guests.ts";
export type { ReachableServer } from "./aws/machines.ts";
export type { UplinkRules } from "./host/uplink.ts";
export { hostRootFolder } from "./host/index.ts";

export interface LabOptions {
  /** All of the lab's state; created 0700. */
  stateDir: string;
  /** What the Proxmox host holds at its first start. @default "fresh" */
  fixture?: "fresh" | "occupied";
  /** How long each simulated task takes, in ms. @default the API's own */
  taskDelayMs?: number;
  /** Write method, path, parameter names and status of every request to `traffic.jsonl`. @default false */
  recordTraffic?: boolean;
  /** Ports; left out: those of the last start on this folder, or free ones. */
  apiPort?: number;
  sshPort?: number;
  pagePort?: number;
  awsPort?: number;
  /** How long what AWS does asynchronously takes, ms. @default 200 */
  awsDelayMs?: number;
  /** What machines may reach and what of them may be reached. @default that of the last start on this folder, or SSH alone */
  uplink?: UplinkRules;
}

/** The API part, as `lab/proxmox` offers it. */
export interface RunningProxmoxApi {
  url: string;
  port: number;
  caCertFile: string;
  tokenFile: string;
  rootSocket: string;
  close: () => Promise<void>;
}
export type StartProxmox = (options: {
  stateDir: string;
  fixture?: "fresh" | "occupied";
  port?: number;
  taskDelayMs?: number;
  recordTraffic?: boolean;
}) => Promise<RunningProxmoxApi>;

export interface RunningLab {
  info: () => LabInfo;
  host: RunningHost;
  aws: RunningAws;
  close: () => Promise<void>;
}

/**
 * Starts a lab in this process.
 * @throws LabAlreadyRunning when a live process has the folder; Error naming a port that another program took.
 */
export async function startLab(options: LabOptions, parts: { startProxmox?: StartProxmox } = {}): Promise<RunningLab> {
  const stateDir = resolve(options.stateDir);
  const unlock = lockStateDir(stateDir);
  const closers: (() => Promise<void>)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close().catch(() => undefined);
    removeLabFile(stateDir);
    unlock();
  };
  try {
    const ports = new Ports(stateDir);
    const proxmox = await startApi(options, stateDir, ports, parts.startProxmox);
    closers.push(() => proxmox.close());
    let publish = (): void => undefined;
    // Loaded where a lab starts: whoever only looks for one needs neither.
    const { readRules, startControls } = await import("./control.ts");
    const { startAws } = await import("./aws/index.ts");
    const network = await openNetwork(ports);
    closers.push(async () => network?.close());
    const rulesFile = join(stateDir, "uplink.json");
    const keep = (rules: UplinkRules): void => writeFileAtomic(rulesFile, JSON.stringify(rules));
    if (options.uplink !== undefined) keep(options.uplink);
    const uplink = new Uplink(network, readRules(readJsonObject(rulesFile) ?? { open: [], reach: [] }));
    const host = await startHost({
      ...{ stateDir, rootSocket: proxmox.rootSocket, ports, network, uplink, onGuests: () => publish() },
      ...(options.sshPort === undefined ? {} : { sshPort: options.sshPort }),
    });
    closers.push(() => host.close());
    const aws = await startAws({
      machines: { stateDir, ports, uplink, labPublicKey: host.labPublicKey },
      ...{ network, onServers: () => publish() },
      ...(options.awsPort === undefined ? {} : { port: options.awsPort }),
      ...(options.awsDelayMs === undefined ? {} : { delayMs: options.awsDelayMs }),
    });
    closers.push(() => aws.close());
    const controls = await startControls(stateDir, { uplink, aws, keep: (rules) => (keep(rules), publish()) });
    closers.push(async () => controls.close());
    const api = new RootApi(proxmox.rootSocket);
    const page = await openPage({ ...options, stateDir }, ports, api, host);
    closers.push(() => page.close());
    const fixed = {
      pid: process.pid,
      processStart: processStart(process.pid) ?? "",
      startedAt: new Date().toISOString(),
      apiUrl: proxmox.url,
      caCertFile: proxmox.caCertFile,
      tokenFile: proxmox.tokenFile,
      rootSocket: proxmox.rootSocket,
      pageUrl: page.url,
      ssh: {
        host: "127.0.0.1",
        port: host.port,
        user: "root",
        privateKeyFile: host.privateKeyFile,
        hostPublicKey: host.hostPublicKey,
      },
      adminAddress: await adminAddress(api),
      controlSocket: controls.socket,
      aws: { url: aws.url, region: aws.region, credentialsFile: aws.credentialsFile },
      ...(network === undefined
        ? {}
        : { network: { cidr: network.cidr, outside: network.outside, sshPort: network.sshPort } }),
      ...(host.limitation === undefined ? {} : { limitation: host.limitation }),
    };
    const info = (): LabInfo => ({ ...fixed, guests: host.guests.list(), servers: aws.servers.list() });
    publish = () => writeLabFile(stateDir, info());
    publish();
    return { info, host, aws, close: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function startApi(
  options: LabOptions,
  stateDir: string,
  ports: Ports,
  given: StartProxmox | undefined,
): Promise<RunningProxmoxApi> {
  const start: StartProxmox = given ?? (await import("./proxmox/index.ts")).startProxmox;
  const port = options.apiPort ?? (await ports.choose("api"));
  try {
    const running = await start({
      stateDir,
      port,
      ...(options.fixture === undefined ? {} : { fixture: options.fixture }),
      ...(options.taskDelayMs === undefined ? {} : { taskDelayMs: options.taskDelayMs }),
      ...(options.recordTraffic === undefined ? {} : { recordTraffic: options.recordTraffic }),
    });
    ports.remember("api", running.port);
    return running;
  } catch (error) {
    throw isErrno(error, "EADDRINUSE") ? portTaken("API", port, "--api-port") : error;
  }
}

async function openPage(options: LabOptions, ports: Ports, api: RootApi, host: RunningHost): Promise<RunningPage> {
  const port = options.pagePort ?? (await ports.choose("page"));
  const sshPorts = (): Map<number, number> => new Map(host.guests.list().map((guest) => [guest.vmid, guest.port]));
  try {
    const page = await startPage({ port, view: () => collectView(api, sshPorts(), options.stateDir) });
    ports.remember("page", page.port);
    return page;
  } catch (error) {
    throw isErrno(error, "EADDRINUSE") ? portTaken("page", port, "--page-port") : error;
  }
}

/** An address beside the host's own in vmbr0's network: where the person who administers it would sit. */
async function adminAddress(api: RootApi): Promise<string> {
  const node = textOf((await api.list("/nodes"))[0]?.["node"]);
  const bridges = await api.list(`/nodes/${node}/network`);
  const bridge = bridges.find((row) => row["iface"] === "vmbr0");
  const address = (textOf(bridge?.["cidr"]) || textOf(bridge?.["address"])).split("/")[0] ?? "";
  const parts = address.split(".");
  if (parts.length !== 4) return "127.0.0.1";
  return [...parts.slice(0, 3), parts[3] === "50" ? "51" : "50"].join(".");
}

/** The live lab on `stateDir`, or undefined; a killed lab's file does not count. */
export async function findLab(stateDir: string): Promise<LabInfo | undefined> {
  return readLabFile(resolve(stateDir));
}

/**
 * Starts a lab as a process of its own that outlives this one, and waits until it answers. Its output goes to
 * `<stateDir>/lab.log`, 0600.
 * @throws Error with the end of that log when it ends instead, or is not ready within `readyTimeoutSec` (default 60).
 */
export async function startLabProcess(
  stateDir: string,
  options: Omit<LabOptions, "stateDir"> & { readyTimeoutSec?: number } = {},
): Promise<LabInfo> {
  const folder = privateFolder(resolve(stateDir));
  const live = readLabFile(folder);
  if (live !== undefined) throw new LabAlreadyRunning(folder, live.pid);
  const logFile = join(folder, "lab.log");
  rmSync(logFile, { force: true });
  const log = openSync(logFile, "wx", 0o600);
  const flags = Object.entries({
    fixture: options.fixture,
    "task-delay-ms": options.taskDelayMs,
    "api-port": options.apiPort,
    "ssh-port": options.sshPort,
    "page-port": options.pagePort,
    "aws-port": options.awsPort,
    "aws-delay-ms": options.awsDelayMs,
    uplink: options.uplink === undefined ? undefined : JSON.stringify(options.uplink),
  }).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, String(value)]));
  if (options.recordTraffic === true) flags.push("--record-traffic");
  const entry = fileURLToPath(new URL("./main.ts", import.meta.url));
  const child = spawn(process.execPath, [entry, "--state-dir", folder, ...flags], {
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  let ended = false;
  child.once("exit", () => (ended = true));
  child.once("error", () => (ended = true));
  child.unref();
  const giveUp = Date.now() + (options.readyTimeoutSec ?? 60) * 1000;
  for (;;) {
    const info = readLabFile(folder);
    if (info !== undefined && info.pid === child.pid) return info;
    if (ended || Date.now() > giveUp) {
      if (!ended && child.pid !== undefined) process.kill(child.pid, "SIGTERM");
      const tail = readFileSync(logFile, "utf8").trim().split("\n").slice(-15).join("\n");
      throw new Error(
        `the lab ${ended ? "ended before it was ready" : "was not ready in time"}; end of ${logFile}:\n${tail}`,
      );
    }
    await sleep(40);
  }
}

/** Stops a lab's process and waits until it has gone; SIGKILL after `graceSec` (default 10). */
export async function stopLabProcess(info: LabInfo, graceSec = 10): Promise<void> {
  const alive = (): boolean => processStart(info.pid) === info.processStart;
  if (!alive()) return;
  process.kill(info.pid, "SIGTERM");
  for (const end = Date.now() + graceSec * 1000; alive() && Date.now() < end;) await sleep(25);
  if (alive()) process.kill(info.pid, "SIGKILL");
  while (alive()) await sleep(10);
}
