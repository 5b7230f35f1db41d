/** A configuration that is read again while the host side runs: taken over whole, or refused with every fault. */
import type { KeeperConfig } from "../../../../components/shared/agent/keeperConfig.ts";
import type { Checked, Fault } from "../../../../components/shared/faults.ts";
import { loadKeeperConfig } from "../../shared/config.ts";

export type WithHost = KeeperConfig & { readonly host: NonNullable<KeeperConfig["host"]> };

export function hasHost(config: KeeperConfig): config is WithHost {
  return config.host !== undefined;
}

/** Parts that are fixed while the agent runs: connections with their secrets, sockets that are bound, open files. */
function fixedParts({ side, paths, log, api, metrics, host }: KeeperConfig): Readonly<Record<string, unknown>> {
  const { proxmox, link, watchdog } = host ?? {};
  return { side, paths, log, api, metrics, "host.proxmox": proxmox, "host.link": link, "host.watchdog": watchdog };
}

/** The new configuration of a running host side, or why it stays with the one it has. Never throws. */
export async function rereadHostConfig(file: string, running: WithHost): Promise<Checked<WithHost>> {
  const read = await loadKeeperConfig(file);
  if (!read.ok) return read;
  const before = fixedParts(running);
  const faults: Fault[] = Object.entries(fixedParts(read.value))
    .filter(([property, value]) => JSON.stringify(value) !== JSON.stringify(before[property]))
    .map(([property]) => ({
      property,
      value: "changed",
      limit: "unchanged while the agent runs",
      fix: "Restart the agent to change it.",
    }));
  if (faults.length === 0 && hasHost(read.value)) return { ok: true, value: read.value };
  return { ok: false, faults };
}
