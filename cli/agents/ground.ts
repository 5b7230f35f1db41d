/** What a new agent's settings take over: on the lab from the lab, on a real host from stack sentinel's settings. */
import { describeFault, type Checked, type Fault } from "../../components/shared/faults.ts";
import { knownBundles, regionOf } from "../../components/shared/vps/lightsail.ts";
import { proxmoxOffers } from "../../components/shared/vps/serverPlan.ts";
import { CommandFailure } from "../output/failure.ts";
import { ProxmoxApi } from "../proxmox/api.ts";
import { isPlain } from "../targets/labAgent.ts";
import type { HostConnection } from "../targets/target.ts";
import { asFurnished, decideGround, furnishLab, observeGround } from "./hostGround.ts";
import type { AgentOrder, OrderGround } from "./order.ts";
import { type AgentNetwork, choosePlace } from "./place.ts";
import type { AgentGround } from "./stackConfig.ts";

type Section = AgentGround["place"];

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);
const number = (value: unknown): number | undefined => {
  const found = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  return typeof found === "number" ? found : undefined;
};

/** What each provider sells, for a zone. */
export function offersIn(zone: string): OrderGround["offers"] {
  return { proxmox: proxmoxOffers, lightsail: knownBundles(regionOf(zone) ?? "") };
}

/** The network that agents' servers are on: the LAN of genesis, with its usual values where it says none. Pure. */
export function agentNetwork(genesis: Readonly<Record<string, unknown>>, project: string): AgentNetwork {
  const networks = genesis[`${project}:networks`];
  const all = isRecord(networks) ? networks : {};
  const lan = isRecord(all["lan"]) ? all["lan"] : {};
  return {
    bridge: text(lan["bridge"]) ?? "vmbr0",
    cidr: text(lan["cidr"]) ?? "192.168.1.0/24",
    gateway: text(lan["gateway"]) ?? "192.168.1.1",
    vlanId: number(lan["vlanId"]),
    firstHost: number(lan["firstHost"]) ?? 20,
    domain: text(all["domain"]) ?? "hive.internal",
  };
}

/** Section `proxmox` of a new agent, on a host that was asked what it has. */
export async function proxmoxPlace(
  host: HostConnection,
  network: AgentNetwork,
  options: {
    /** Ids of agents whose servers are not made yet. */
    readonly promised: readonly number[];
    readonly wanted?: { readonly storage?: string | undefined; readonly image?: string | undefined };
    /** Whether the lab's host is given what it lacks, or only looked at as if it had been. @default it is a real host */
    readonly furnish?: "really" | "as if" | undefined;
  },
): Promise<Checked<Section>> {
  const api = new ProxmoxApi(host);
  let seen = await observeGround(api);
  if (options.furnish === "really") {
    await furnishLab(api, host, seen);
    seen = await observeGround(api);
  } else if (options.furnish === "as if") seen = asFurnished(seen);
  const ground = decideGround(seen, options.wanted ?? {});
  const place = choosePlace(network, new Set([...seen.ids, ...options.promised]));
  const faults: Fault[] = [...(ground.ok ? [] : ground.faults), ...(place.ok ? [] : place.faults)];
  if (!ground.ok || !place.ok) return { ok: false, faults };
  const { bridge, vlanId, gateway, domain } = network;
  return {
    ok: true,
    value: {
      endpoint: host.endpoint,
      insecure: host.insecure,
      nodeName: host.nodeName,
      storage: ground.value.storage,
      image: ground.value.image,
      ...place.value,
      bridge,
      ...(vlanId === undefined ? {} : { vlanId }),
      ...(gateway === undefined ? {} : { gateway, dnsServers: [gateway] }),
      domain,
    },
  };
}

/** The provider's own name of the server to come: what the reaper deletes. Pure. */
export function serverIdOf(order: Pick<AgentOrder, "provider">, place: Section, hostname: string): string {
  return order.provider === "lightsail" ? hostname : String(place["vmId"] ?? "");
}

const isSection = (value: unknown): value is Section => isRecord(value) && isPlain(value);

/** A section of settings that a command cannot do without. @throws CommandFailure with the fix */
export function sectionOf(config: Readonly<Record<string, unknown>>, key: string, file: string): Section {
  const found = config[key];
  if (isSection(found)) return found;
  const missing: Fault = {
    property: key,
    limit: "keys and values",
    fix: `Write it into ${file}: docs/antigravity.md.`,
  };
  throw new CommandFailure(`${file} is not finished: ${describeFault(missing)}`, { faults: [missing] });
}
