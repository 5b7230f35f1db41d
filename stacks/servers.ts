/** What the stacks `sentinel` and `agent-<name>` share: where their server is made, and by which provider. */
import * as proxmox from "@muhlba91/pulumi-proxmoxve";
import { Provider as AwsProvider } from "@pulumi/aws/provider.js";
import * as pulumi from "@pulumi/pulumi";
import type { VpsPlace } from "../components/vps/index.ts";
import type { Offer } from "../components/shared/vps/offers.ts";
import { regionOf } from "../components/shared/vps/lightsail.ts";
import { throwawayPool } from "../components/shared/vps/reaperRights.ts";
import type { AgentStackSettings, SentinelStackSettings } from "../components/shared/vps/stackSettings.ts";
import { lightsailHostKey } from "./lightsailHostKey.ts";
import { lightsailOffers } from "./lightsailOffers.ts";

/** A server's place with its provider, and what is sold there where that was looked up. */
export interface ServerPlace {
  readonly place: VpsPlace;
  readonly offers: readonly Offer[] | undefined;
  readonly providers: readonly pulumi.ProviderResource[];
}

/** Makes the provider of the place that the settings name. Throwaway guests are put where the reaper sees them. */
export async function serverPlace(
  settings: Pick<AgentStackSettings | SentinelStackSettings, "proxmox" | "lightsail">,
  throwaway: boolean,
): Promise<ServerPlace> {
  const { proxmox: own, lightsail } = settings;
  if (own !== undefined) {
    const { endpoint, insecure, storage, bridge, vlanId, mtu, mac, cidr, gateway, domain, dnsServers, ...rest } = own;
    const apiToken = new pulumi.Config().requireSecret("apiToken");
    const { pool = throwaway ? throwawayPool : "", backupStorage = "none", ...plain } = rest;
    const place: VpsPlace = {
      ...plain,
      provider: "proxmox",
      storageId: storage,
      nic: { bridge, vlanId, mtu, mac, cidr, gateway },
      dns: { domain, servers: dnsServers },
      ...(pool === "" ? {} : { pool }),
      ...(throwaway || backupStorage === "none" ? {} : { backupStorage }),
    };
    return { place, offers: undefined, providers: [new proxmox.Provider("proxmox", { endpoint, insecure, apiToken })] };
  }
  const { zone, blueprint } = lightsail ?? { zone: "", blueprint: "" };
  const region = regionOf(zone) ?? "";
  // AWS' own type of regions is a list that ages; what is no region Lightsail refuses.
  const provider = new AwsProvider("aws", { region: pulumi.output(region) });
  return {
    place: {
      ...{ provider: "lightsail", zone, blueprint },
      hostKeyOf: (instance, createdAt) => lightsailHostKey(region, instance, createdAt),
    },
    offers: await lightsailOffers(region),
    providers: [provider],
  };
}
