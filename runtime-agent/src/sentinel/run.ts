import { SecondInstanceError } from "../shared/instanceLock.ts";
import { createLog } from "../shared/log.ts";
import type { SentinelDaemonOptions } from "./daemon.ts";
import { runSentinelDaemon } from "./daemon.ts";

/** Exit status of an agent that finds another one at work (sysexits.h EX_TEMPFAIL). */
const secondInstance = 75;

/** Runs the Sentinel until it is told to stop; gives the exit status. One that finds another at work gives 75. */
export async function runSentinel(options: SentinelDaemonOptions): Promise<number> {
  try {
    return await runSentinelDaemon(options);
  } catch (error) {
    if (!(error instanceof SecondInstanceError)) throw error;
    createLog({ level: options.config.log.level }).error(error.message);
    return secondInstance;
  }
}
