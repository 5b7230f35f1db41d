/** A configuration that is read again while the arbiter runs: taken over whole, or refused with every fault. */
import type { KeeperConfig } from "../../../../components/shared/agent/keeperConfig.ts";
import type { Checked, Fault } from "../../../../components/shared/faults.ts";
import { loadKeeperConfig } from "../../shared/config.ts";

/** Parts that are fixed while the agent runs: files that are open, sockets that are bound, the driver's child. */
function fixedParts(config: KeeperConfig): Readonly<Record<string, unknown>> {
  const { side, paths, api, metrics, arbiter } = config;
  return { side, paths, api, metrics, "arbiter.gpu": arbiter?.gpu, "arbiter.link": arbiter?.link };
}

export async function rereadConfig(file: string, running: KeeperConfig): Promise<Checked<KeeperConfig>> {
  const checked = await loadKeeperConfig(file);
  if (!checked.ok) return checked;
  const before = fixedParts(running);
  const faults: Fault[] = Object.entries(fixedParts(checked.value))
    .filter(([property, value]) => JSON.stringify(value) !== JSON.stringify(before[property]))
    .map(([property]) => ({
      property,
      value: "changed",
      limit: "unchanged while the agent runs",
      fix: "Restart the agent to change it.",
    }));
  return faults.length === 0 ? checked : { ok: false, faults };
}
