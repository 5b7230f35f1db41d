/** The providers of the configuration, with their credentials read. */
import { readFile } from "node:fs/promises";
import type { ReaperConfig } from "../../../../components/shared/agent/sentinelWatchConfig.ts";
import { realClock } from "../../shared/clock.ts";
import { pveClient } from "../../shared/proxmox/client.ts";
import { readTokenFile } from "../../shared/proxmox/token.ts";
import { proxmoxServers } from "./proxmox.ts";
import type { ServerProvider } from "./types.ts";

/** @throws SecretFileError, and when an authority cannot be read */
export async function openProviders({ proxmox, lightsail }: ReaperConfig): Promise<readonly ServerProvider[]> {
  const providers: ServerProvider[] = [];
  if (proxmox !== undefined) {
    const { url, node, fingerprint, caFile = "", pool } = proxmox;
    const trust = fingerprint === undefined ? { ca: await readFile(caFile, "utf8") } : { fingerprint };
    const token = await readTokenFile(proxmox.tokenFile);
    providers.push(proxmoxServers(pveClient({ url, token, trust, node, clock: realClock() }), token, pool));
  }
  if (lightsail !== undefined) {
    // Loaded only where it is used: it would cost every other Sentinel memory.
    const { lightsailServers, readAwsCredentials } = await import("./lightsail.ts");
    const { region, endpoint } = lightsail;
    const credentials = await readAwsCredentials(lightsail.credentialsFile, lightsail.profile);
    providers.push(lightsailServers({ region, endpoint, credentials }));
  }
  return providers;
}
