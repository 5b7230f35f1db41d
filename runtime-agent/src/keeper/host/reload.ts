/** What of the host side's configuration may change while it runs. */
import type { KeeperConfig } from "../../../../components/shared/agent/keeperConfig.ts";
import type { Checked } from "../../../../components/shared/faults.ts";
import { rereadKeeperConfig } from "../reread.ts";

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
  const read = await rereadKeeperConfig(file, running, fixedParts);
  if (!read.ok) return read;
  return hasHost(read.value) ? { ok: true, value: read.value } : { ok: false, faults: [] };
}
