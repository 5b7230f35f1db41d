import type { KeeperConfig } from "../../../components/shared/agent/keeperConfig.ts";
import { SecondInstanceError } from "../shared/instanceLock.ts";
import { createLog } from "../shared/log.ts";

/** What a side of the Keeper is started with. */
export interface KeeperOptions {
  readonly side: KeeperConfig["side"];
  readonly config: KeeperConfig;
  /** Where the configuration came from: read again when the agent is told to reload. */
  readonly configFile: string;
}

/** Runs until it is told to stop; gives the exit status. */
export type KeeperSide = (options: KeeperOptions) => Promise<number>;

/** The sides of the Keeper. Each is loaded only where it runs. */
const sides: Readonly<Record<KeeperConfig["side"], () => Promise<KeeperSide>>> = {
  arbiter: async () => (await import("./arbiter/runArbiter.ts")).runArbiter,
  host: async () => (await import("./host/daemon.ts")).runHost,
};

/** Exit status of an agent that finds another one at work (sysexits.h EX_TEMPFAIL). */
const secondInstance = 75;

/** Runs a side. One that finds another keeper at work on the same state says so in a line, and gives 75. */
export async function runKeeper(options: KeeperOptions): Promise<number> {
  const side = await sides[options.side]();
  try {
    return await side(options);
  } catch (error) {
    if (!(error instanceof SecondInstanceError)) throw error;
    createLog({ level: options.config.log.level }).error(error.message);
    return secondInstance;
  }
}
