/** What of the arbiter's configuration may change while it runs. */
import type { KeeperConfig } from "../../../../components/shared/agent/keeperConfig.ts";
import type { Checked } from "../../../../components/shared/faults.ts";
import { rereadKeeperConfig } from "../reread.ts";
import type { Held } from "./places.ts";
import { movedFaults } from "./places.ts";

/** Parts that are fixed while the agent runs: files that are open, sockets that are bound, the driver's child. */
function fixedParts(config: KeeperConfig): Readonly<Record<string, unknown>> {
  const { side, paths, api, metrics, arbiter } = config;
  return { side, paths, api, metrics, "arbiter.gpu": arbiter?.gpu, "arbiter.link": arbiter?.link };
}

/**
 * The file's configuration, or why it cannot replace the running one. What the arbiter holds stays where it is: at
 * another place its old processes would stay frozen for ever.
 */
export async function rereadConfig(
  file: string,
  running: KeeperConfig,
  held: Readonly<Record<string, Held>>,
): Promise<Checked<KeeperConfig>> {
  const read = await rereadKeeperConfig(file, running, fixedParts);
  const faults = read.ok ? movedFaults(read.value, held) : [];
  return faults.length === 0 ? read : { ok: false, faults };
}
