import { randomBytes } from "node:crypto";
import { existsSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { stringify } from "yaml";
import { buildFakeGpu } from "../../lab/gpu/build.ts";
import { LabCard } from "../../lab/keeper/card.ts";
import { EveningClock } from "../../lab/keeper/clock.ts";
import { type LabLink, type LabProxmox, labArbiterConfig, labHostConfig } from "../../lab/keeper/config.ts";
import type { Evening } from "../../lab/keeper/evening.ts";
import {
  type Identity,
  type KeeperFolder,
  findKeeper,
  identityOf,
  isAlive,
  keeperFolder,
  makeKeeperFolder,
  removeFound,
  runtimeFolder,
  writeFound,
} from "../../lab/keeper/folder.ts";
import { writeEvening } from "../../lab/keeper/play.ts";
import { endWorkers } from "../../lab/keeper/workers.ts";
import { writeWhole } from "../targets/stateFolder.ts";
import { agentProgram, endProcess, startAgent } from "./agentProcess.ts";

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
 * why, and nothing of it is left then. While an evening is played the arbiter is alone: the host side has no clock but
 * the machine's.
 */
export async function startLabKeeper(labStateDir: string, options: LabKeeperOptions = {}): Promise<LabKeeper> {
  if (process.platform !== "linux") return notRunning("it needs Linux");
  if (!existsSync(agentProgram)) return notRunning(`${agentProgram} is missing`);
  const folder = keeperFolder(labStateDir);
  makeKeeperFolder(folder);
  const before = findKeeper(folder);
  if (before !== undefined && isAlive(before.owner)) {
    return notRunning(`process ${String(before.owner.pid)} runs it already, on the same lab`);
  }
  // Those of a command that was killed: their end is ours.
  if (before !== undefined) await Promise.all([before, ...before.sides].map(endProcess));
  await endWorkers(folder.services);
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
    const clock = play === undefined ? undefined : new EveningClock(folder.clock, play.evening.fromMs, play.rate);
    const joined = await startHost(folder, runtimes.host.path, options, onSpawn);
    writeArbiter(folder, { ...built, runtime, play, link: "link" in joined ? joined.link : undefined });
    const own = await startAgent({
      ...{ side: "arbiter", config: folder.config, runtime, output: folder.output, onSpawn },
      env: { HIVE_LAB_CLOCK: clock?.file ?? "" },
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

/** Everything that the arbiter reads at its start. */
function writeArbiter(
  folder: KeeperFolder,
  given: {
    readonly nvml: string;
    readonly cuda: string;
    readonly runtime: string;
    readonly play: Play | undefined;
    readonly link: LabLink | undefined;
  },
): void {
  const { nvml, cuda, runtime, play, link } = given;
  // A simulated evening begins with a fresh journal: its times are not this machine's.
  const state = play === undefined ? folder.state : join(folder.root, "evening-state");
  if (play !== undefined) rmSync(state, { recursive: true, force: true });
  const timeZone = play?.evening.timeZone ?? "Europe/Paris";
  writeEvening(folder, timeZone, play?.evening.steps ?? [], -1);
  writeWhole(folder.evaToken, `${randomBytes(32).toString("base64url")}\n`);
  const config = labArbiterConfig({
    folder: { ...folder, state },
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
  runtime: string,
  { play, proxmox }: LabKeeperOptions,
  onSpawn: (identity: Identity) => void,
): Promise<{ readonly host: Identity; readonly link: LabLink } | { readonly fault: string }> {
  if (play !== undefined) return { fault: "an evening is played" };
  if (proxmox === undefined) return { fault: "it was not asked for" };
  const link = { port: await freePort(), keyFile: join(folder.root, "link.key") };
  writeWhole(link.keyFile, `${randomBytes(32).toString("hex")}\n`);
  const config = join(folder.root, "keeper-host.yaml");
  writeWhole(config, stringify(labHostConfig({ folder, runtime, proxmox, link })));
  const output = join(folder.root, "keeper-host.log");
  const host = await startAgent({ side: "host", config, runtime, output, env: {}, onSpawn });
  return "fault" in host ? host : { host, link };
}

/** A loopback port that nobody uses now. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
