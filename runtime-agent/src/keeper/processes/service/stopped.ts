import type { ServiceState } from "./serviceProcess.ts";
import type { ProcessStat } from "../pids/stat.ts";
import { hasEnded, standing } from "../pids/stat.ts";

/** The state that these processes add up to, the freezer apart. */
export function stateOfProcesses(stats: readonly ProcessStat[]): Exclude<ServiceState, "frozen"> {
  const living = stats.filter((stat) => !hasEnded(stat));
  if (living.length === 0) return "absent";
  const stopped = standing(living).length;
  if (stopped === 0) return "running";
  return stopped === living.length ? "stopped" : "partly";
}
