/** What of the arbiter's configuration may change while it runs. */
import type { KeeperConfig } from "../../../../components/shared/agent/keeperConfig.ts";
import type { Checked } from "../../../../components/shared/faults.ts";
import { rereadKeeperConfig } from "../reread.ts";

/** Parts that are fixed while the agent runs: files that are open, sockets that are bound, the driver's child. */
function fixedParts(config: KeeperConfig): Readonly<Record<string, unknown>> {
  const { side, paths, api, metrics, arbiter } = config;
  return { side, paths, api, metrics, "arbiter.gpu": arbiter?.gpu, "arbiter.link": arbiter?.link };
}

export function rereadConfig(file: string, running: KeeperConfig): Promise<Checked<KeeperConfig>> {
  return rereadKeeperConfig(file, running, fixedParts);
}
