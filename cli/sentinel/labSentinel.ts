import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stringify } from "yaml";
import type { SentinelConfigInput } from "../../components/shared/agent/sentinelConfig.ts";
import { agentProgram, startAgent } from "../keeper/agentProcess.ts";
import { portNear } from "./portNear.ts";
import { CommandFailure } from "../output/failure.ts";
import { progress } from "../output/terminal.ts";
import type { LabInfo } from "../../lab/index.ts";
import { LabAlreadyRunning, lockStateDir } from "../../lab/host/lab-file.ts";
import { readIfThere, writeWhole } from "../targets/stateFolder.ts";
import { endSentinel } from "./endSentinel.ts";
import {
  type FoundSentinel,
  findSentinel,
  makeRuntimeFolder,
  makeSentinelFolder,
  type SentinelFolder,
  sentinelFolder,
  writeFound,
} from "./folder.ts";
import { exchange, type SentinelLine, SentinelUnreachable } from "./line.ts";

/** Where the runners of a lab's servers find its Sentinel. */
export interface LabListen {
  /** An address of this machine that the lab's servers reach. */
  readonly host: string;
  /** Another one is taken where it is not free. @default 8944 */
  readonly port?: number | undefined;
}

/** Further sections of its configuration, made when it starts. */
type More = (folder: SentinelFolder) => Promise<Pick<SentinelConfigInput, "watch">>;

/** Where a lab's own network is entered from outside; on a lab without one, the loopback. */
export function labListen({ network }: Pick<LabInfo, "network">): LabListen {
  return { host: network?.outside ?? "127.0.0.1" };
}

const usualPort = 8944;
/** How long another command that starts or stops it at the same moment is waited for, ms. */
const patienceMs = 30_000;

/**
 * The Sentinel beside a lab: the one that runs, or the real role started now as a process of its own. It outlives this
 * command and is stopped with its lab; all of its state is below the lab's own.
 * @throws CommandFailure when it does not start
 */
export async function labSentinel(
  labStateDir: string,
  listen: LabListen,
  more: More = () => Promise.resolve({}),
): Promise<FoundSentinel> {
  if (process.platform !== "linux") throw new CommandFailure("the Sentinel needs Linux");
  if (!existsSync(agentProgram)) throw new CommandFailure(`${agentProgram} is missing`);
  const folder = sentinelFolder(labStateDir);
  makeSentinelFolder(folder);
  const unlock = await lockedWhenFree(folder.root);
  try {
    const running = findSentinel(folder);
    // Another address: the lab has got a new network since.
    if (running?.listen.host === listen.host && (await isWell(running))) return running;
    if (running !== undefined) await endSentinel(labStateDir);
    return await started(folder, listen, await more(folder));
  } finally {
    unlock();
  }
}

async function started(
  folder: SentinelFolder,
  listen: LabListen,
  more: Awaited<ReturnType<More>>,
): Promise<FoundSentinel> {
  const runtime = makeRuntimeFolder(folder);
  const at = { host: listen.host, port: await portNear(listen.port ?? usualPort, listen.host) };
  const config: SentinelConfigInput = {
    version: 1,
    role: "sentinel",
    paths: { state: folder.state, runtime },
    runners: { listen: `${at.host}:${String(at.port)}` },
    ...more,
  };
  writeWhole(folder.config, stringify(config));
  progress(`sentinel: starting it beside the lab; its state is in ${folder.root}`);
  const own = await startAgent({
    role: ["sentinel"],
    ...{ config: folder.config, runtime, output: folder.output, env: {} },
    // Before it is well: a command that is killed meanwhile leaves one that can be found.
    onSpawn: (identity) => {
      writeFound(folder, { ...identity, runtime, listen: at });
    },
  });
  if ("fault" in own) throw new CommandFailure(`the lab's Sentinel does not start: ${own.fault}`);
  return { ...own, runtime, listen: at };
}

/** Takes the folder for this command; one that is killed leaves no lock. */
async function lockedWhenFree(root: string): Promise<() => void> {
  for (const giveUp = Date.now() + patienceMs; ; await sleep(50)) {
    try {
      return lockStateDir(root);
    } catch (error) {
      if (!(error instanceof LabAlreadyRunning) || Date.now() > giveUp) throw error;
    }
  }
}

async function isWell(found: FoundSentinel): Promise<boolean> {
  const answer = await labLine(found)
    .call({ method: "GET", path: "/health", timeoutMs: 5000 })
    .catch(() => undefined);
  return answer?.status === 200;
}

/** A line to the Sentinel beside a lab. */
export function labLine({ runtime }: Pick<FoundSentinel, "runtime">): SentinelLine {
  const token = readIfThere(join(runtime, "api.token"))?.trim() ?? "";
  return {
    call: async (call) => {
      try {
        return await exchange({ path: join(runtime, "api.sock") }, token, call);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        throw new SentinelUnreachable(`the lab's Sentinel does not answer: ${why}. Run: hive doctor`);
      }
    },
    close: () => undefined,
  };
}
