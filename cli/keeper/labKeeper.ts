import { randomBytes } from "node:crypto";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { buildFakeGpu } from "../../lab/gpu/build.ts";
import { LabCard } from "../../lab/keeper/card.ts";
import { EveningClock } from "../../lab/keeper/clock.ts";
import { type LabLink, type LabProxmox, hostState, labArbiterConfig, labHostConfig } from "../../lab/keeper/config.ts";
import type { Evening } from "../../lab/keeper/evening.ts";
import {
  type Identity,
  type KeeperFolder,
  identityOf,
  keeperFolder,
  makeKeeperFolder,
  removeFound,
  runtimeFolder,
  writeFound,
} from "../../lab/keeper/folder.ts";
import { idleLoad, writeLoad } from "../../lab/keeper/load.ts";
import { writeEvening } from "../../lab/keeper/play.ts";
import { endWorkers } from "../../lab/keeper/workers.ts";
import { writeWhole } from "../targets/stateFolder.ts";
import { type AgentStart, agentProgram, endProcess, startAgent } from "./agentProcess.ts";
import { endLeftKeeper } from "./endKeeper.ts";
import { freePort } from "../../lab/host/freePort.ts";

/** An evening to be played, and how many times as fast as it would be. */
export interface Play {
  readonly evening: Evening;
  readonly rate: number;
}

export interface RunningLabKeeper {
  readonly kind: "running";
  readonly pid: number;
  readonly folder: KeeperFolder;
  /** Folder of its socket and token. */
  readonly runtime: string;
  readonly card: LabCard;
  /** Its clock while an evening is played; undefined: it goes by the machine's. */
  readonly clock: EveningClock | undefined;
  /** The host side: its process, or why there is none. */
  readonly host: Identity | { readonly fault: string };
  /** Command that shows what it does. */
  readonly look: string;
  /** Ends it, and the processes that stand for its services. */
  readonly stop: () => Promise<void>;
}

export type LabKeeper = RunningLabKeeper | { readonly kind: "not-running"; readonly why: string };

export interface LabKeeperOptions {
  readonly play?: Play | undefined;
  /** The lab's Proxmox, for the host side; undefined: the arbiter runs alone. */
  readonly proxmox?: LabProxmox | undefined;
}

const notRunning = (why: string): LabKeeper => ({ kind: "not-running", why });

/**
 * Starts the Keeper beside a lab, and waits until it answers: the host side on the lab's Proxmox, the arbiter on the
 * lab's fake GPU, joined by their link. All of its state is below the lab's own. Where it cannot run, the answer says
 * why, and nothing of it is left then. While an evening is played both sides go by its clock, and the arbiter by its
 * load.
 */
export async function startLabKeeper(labStateDir: string, options: LabKeeperOptions = {}): Promise<LabKeeper> {
  if (process.platform !== "linux") return notRunning("it needs Linux");
  if (!existsSync(agentProgram)) return notRunning(`${agentProgram} is missing`);
  const folder = keeperFolder(labStateDir);
  makeKeeperFolder(folder);
  const owner = await endLeftKeeper(labStateDir);
  if (owner !== undefined) return notRunning(`process ${String(owner.pid)} runs it already, on the same lab`);
  const built = await buildFakeGpu(folder.gpu);
  if (built.kind === "failed") return notRunning(`the lab's GPU cannot be built: ${built.reason}`);

  const runtimes = { arbiter: runtimeFolder(folder, "run"), host: runtimeFolder(folder, "run-host") };
  const runtime = runtimes.arbiter.path;
  const card = new LabCard(folder.gpu, folder.services);
  const sides: Identity[] = [];
  const onSpawn = (identity: Identity): void => {
    sides.push(identity);
    writeFound(folder, { ...identity, sides, owner: identityOf(process.pid), runtime });
  };
  const stop = async (): Promise<void> => {
    await Promise.all(sides.map(endProcess));
    await endWorkers(folder.services);
    await card.stop();
    removeFound(folder);
    for (const each of Object.values(runtimes)) each.remove();
  };
  try {
    const { play } = options;
    await card.start();
    const { its, clock, env } = play === undefined ? noScript(folder) : beginEvening(folder, play);
    const timeZone = play?.evening.timeZone ?? "Europe/Paris";
    const joined = await startHost(its, { runtime: runtimes.host.path, timeZone, env, onSpawn }, options.proxmox);
    const link = "link" in joined ? joined.link : undefined;
    writeArbiter(its, { ...built, runtime, timeZone, play, link });
    const own = await startAgent({
      ...{ role: ["keeper", "--side", "arbiter"], config: folder.config, runtime, output: folder.output, env, onSpawn },
    });
    if ("fault" in own) {
      await stop();
      return notRunning(own.fault);
    }
    const look = `${process.execPath} ${agentProgram} status --watch --runtime ${runtime}`;
    const host = "link" in joined ? joined.host : joined;
    return { kind: "running", pid: own.pid, folder, runtime, card, clock, host, look, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What the two sides find in the place of the machine's own time and load. */
interface Stage {
  /** Their folders. */
  readonly its: KeeperFolder;
  readonly clock: EveningClock | undefined;
  readonly env: Readonly<Record<"HIVE_LAB_CLOCK" | "HIVE_LAB_LOAD", string>>;
}

/** The machine's own: a variable that this command was started with is not for them. */
function noScript(folder: KeeperFolder): Stage {
  return { its: folder, clock: undefined, env: { HIVE_LAB_CLOCK: "", HIVE_LAB_LOAD: "" } };
}

/** An evening begins with fresh journals: its times are not this machine's. */
function beginEvening(folder: KeeperFolder, { evening, rate }: Play): Stage {
  const state = join(folder.root, "evening-state");
  for (const each of [state, hostState(state)]) rmSync(each, { recursive: true, force: true });
  writeLoad(folder.load, idleLoad);
  const clock = new EveningClock(folder.clock, evening.fromMs, rate);
  return { its: { ...folder, state }, clock, env: { HIVE_LAB_CLOCK: clock.file, HIVE_LAB_LOAD: folder.load } };
}

/** Everything that the arbiter reads at its start. */
function writeArbiter(
  folder: KeeperFolder,
  given: {
    readonly nvml: string;
    readonly cuda: string;
    readonly runtime: string;
    readonly timeZone: string;
    readonly play: Play | undefined;
    readonly link: LabLink | undefined;
  },
): void {
  const { nvml, cuda, runtime, timeZone, play, link } = given;
  writeEvening(folder, timeZone, play?.evening.steps ?? [], -1);
  writeWhole(folder.evaToken, `${randomBytes(32).toString("base64url")}\n`);
  const config = labArbiterConfig({
    folder,
    runtime,
    nvml,
    cuda,
    timeZone,
    rate: play?.rate,
    link,
  });
  writeWhole(folder.config, stringify(config));
}

/** The host side and the link that the arbiter is to listen on; without it the arbiter goes by its own calendar. */
async function startHost(
  folder: KeeperFolder,
  given: Pick<AgentStart, "runtime" | "env" | "onSpawn"> & { readonly timeZone: string },
  proxmox: LabProxmox | undefined,
): Promise<{ readonly host: Identity; readonly link: LabLink } | { readonly fault: string }> {
  if (proxmox === undefined) return { fault: "it was not asked for" };
  const { timeZone, ...start } = given;
  const link = { port: await freePort(), keyFile: join(folder.root, "link.key") };
  writeWhole(link.keyFile, `${randomBytes(32).toString("hex")}\n`);
  const config = join(folder.root, "keeper-host.yaml");
  writeWhole(config, stringify(labHostConfig({ folder, runtime: start.runtime, timeZone, proxmox, link })));
  const output = join(folder.root, "keeper-host.log");
  const host = await startAgent({ ...start, role: ["keeper", "--side", "host"], config, output });
  return "fault" in host ? host : { host, link };
}
