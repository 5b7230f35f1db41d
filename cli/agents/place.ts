/** Where an agent's server goes on one's own Proxmox host: an id, an address and a MAC that nobody has. Pure. */
import { fault } from "../../components/shared/check.ts";
import type { Checked } from "../../components/shared/faults.ts";
import { candidates, hostOf } from "../../components/shared/hostNumbers.ts";
import { idRange } from "../../components/shared/ids.ts";
import { formatIpv4, parseCidr, parseHost, parseIpv4 } from "../../components/shared/ipv4.ts";

/** A network of the host that agents' servers may be on. */
export interface AgentNetwork {
  readonly bridge: string;
  /** Network with its prefix length, or an address in it: `192.168.1.0/24`. */
  readonly cidr: string;
  readonly gateway: string | undefined;
  readonly vlanId: number | undefined;
  /** First host number that machines may have. */
  readonly firstHost: number;
  /** Tells the MAC addresses of one estate from another's. */
  readonly domain: string;
}

/** One server's own place. */
export interface OwnPlace {
  readonly vmId: number;
  readonly mac: string;
  /** Address with its prefix length. */
  readonly cidr: string;
}

/** Locally administered, as the estate's own are; the fourth byte is one that no network of the estate has. */
function macOf(domain: string, vmId: number): string {
  let hash = 0x811c9dc5;
  for (const character of domain) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  const bytes = [0x02, (hash >>> 8) & 0xff, hash & 0xff, 0xa9, (vmId >> 8) & 0xff, vmId & 0xff];
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/**
 * The highest free container id, with the address that the estate's own rule gives to it: the estate's workers take
 * theirs from the other end, so that the two meet only when the range is full.
 *
 * @param takenIds Ids of the host's guests, and of agents whose servers are not made yet.
 */
export function choosePlace(network: AgentNetwork, takenIds: ReadonlySet<number>): Checked<OwnPlace> {
  const subnet = parseCidr(network.cidr) ?? parseHost(network.cidr)?.subnet;
  if (subnet === undefined) {
    const limit = "an IPv4 network such as 192.168.1.0/24";
    return { ok: false, faults: [fault("network", network.cidr, limit, "Correct the network's cidr.")] };
  }
  const gateway = network.gateway === undefined ? undefined : parseIpv4(network.gateway);
  const hosts = candidates(subnet, network.firstHost, [gateway]);
  for (let vmId = idRange.workerMost; vmId >= idRange.workerLeast; vmId -= 1) {
    const address = hostOf(vmId, hosts);
    if (takenIds.has(vmId) || address === undefined) continue;
    const cidr = `${formatIpv4(address)}/${String(subnet.prefix)}`;
    return { ok: true, value: { vmId, mac: macOf(network.domain, vmId), cidr } };
  }
  const range = `${String(idRange.workerLeast)} to ${String(idRange.workerMost)}`;
  const fix = "Destroy a server that is not needed: hive agent list.";
  return { ok: false, faults: [fault("vmId", "none is free", `a free id from ${range}`, fix)] };
}
