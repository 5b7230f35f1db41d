/** A configuration that is read again while a side of the Keeper runs: taken over whole, or refused with every fault. */
import type { KeeperConfig } from "../../../components/shared/agent/keeperConfig.ts";
import type { Checked, Fault } from "../../../components/shared/faults.ts";
import { loadKeeperConfig } from "../shared/config.ts";

/**
 * The file's configuration, or why it cannot replace the running one. `fixedParts` names the parts that may not change
 * while the agent runs, by property. Never throws.
 */
export async function rereadKeeperConfig(
  file: string,
  running: KeeperConfig,
  fixedParts: (config: KeeperConfig) => Readonly<Record<string, unknown>>,
): Promise<Checked<KeeperConfig>> {
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
