import type { Checked, Fault } from "./faults.ts";
import type { NetworkSettings } from "./genesisSettings.ts";
import type { Machine, NetworkName } from "./machines.ts";
import type { Subnet } from "./ipv4.ts";
import { checked, fault } from "./check.ts";
import { candidates, hostOf } from "./hostNumbers.ts";
import { machinePath } from "./ids.ts";
import { formatIpv4, parseCidr, parseIpv4 } from "./ipv4.ts";
import { checkNetworks } from "./networkChecks.ts";

/** One network card of one machine. */
export interface NicPlan {
  /** The machine's id. */
  readonly machine: number;
  readonly network: NetworkName;
  readonly bridge: string;
  readonly vlanId?: number | undefined;
  readonly mtu: number;
  /** Address without prefix, for example `10.20.10.100`. */
  readonly address: string;
  readonly prefix: number;
  /** Address with prefix, for example `10.20.10.100/24`. */
  readonly cidr: string;
  /** Default route; only on a machine's first network. */
  readonly gateway?: string | undefined;
  /** For example `brain.private.hive.internal`. */
  readonly fqdn: string;
  /** Locally administered, derived from domain, network and machine id. */
  readonly mac: string;
}

/** One network of the estate. */
export interface NetworkPlan {
  readonly name: NetworkName;
  readonly bridge: string;
  /** The subnet, for example `10.20.10.0/24`. */
  readonly cidr: string;
  readonly vlanId?: number | undefined;
  /** Default route of its guests: the house's on `lan`, the bastion on `dmz`, none on `private`. */
  readonly gateway?: string | undefined;
  readonly mtu: number;
  /** The Proxmox host's own address there with prefix; only on `private` (the LAN's is adopted, the DMZ has none). */
  readonly hostAddress?: string | undefined;
}

/** All networks, and one static address for every machine and network. */
export interface AddressPlan {
  readonly networks: readonly NetworkPlan[];
  readonly nics: readonly NicPlan[];
  readonly dnsServers: readonly string[];
  readonly domain: string;
}

/** Standard Ethernet MTU, for the bridges without a setting of their own. */
const ethernetMtu = 1500;
/** Hosts of our own subnets below this number are kept for gateways and the Proxmox host. */
const firstOwnHost = 10;
const networkNames: readonly NetworkName[] = ["lan", "private", "dmz"];

/** Two bytes of FNV-1a over the domain: estates with other domains on one LAN get other MAC addresses. */
function domainBytes(domain: string): readonly [number, number] {
  let hash = 0x811c9dc5;
  for (const character of domain) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return [(hash >>> 8) & 0xff, hash & 0xff];
}

function macOf(domain: string, network: NetworkName, id: number): string {
  const bytes = [0x02, ...domainBytes(domain), networkNames.indexOf(network) + 1, (id >> 8) & 0xff, id & 0xff];
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** The machine that routes for the DMZ: on every network, in the role of security (design §4: the bastion, 400). */
function dmzRouter(machines: readonly Machine[]): Machine | undefined {
  return machines.find(
    ({ role, networks }) => role === "security" && networks.includes("lan") && networks.includes("dmz"),
  );
}

interface Segment {
  readonly plan: NetworkPlan;
  readonly subnet: Subnet;
  /** Addresses for machines, ascending. */
  readonly hosts: readonly number[];
}

function segments(networks: NetworkSettings, reserved: readonly number[]): readonly Segment[] {
  return networkNames.flatMap((name): Segment[] => {
    const subnet = parseCidr(networks[name].cidr);
    if (subnet === undefined) return [];
    const { bridge, cidr, vlanId } = networks[name];
    const own = name === "private" ? subnet.first : undefined;
    const gateway = name === "lan" ? networks.lan.gateway : undefined;
    const mtu = name === "private" ? networks.private.mtu : ethernetMtu;
    const roomy = subnet.prefix <= 24;
    const start = name === "lan" ? networks.lan.firstHost : roomy ? firstOwnHost : 2;
    const kept = [...reserved, own, gateway === undefined ? undefined : parseIpv4(gateway)];
    const hostAddress = own === undefined ? undefined : `${formatIpv4(own)}/${String(subnet.prefix)}`;
    return [
      {
        plan: { name, bridge, cidr, vlanId, gateway, mtu, hostAddress },
        subnet,
        hosts: candidates(subnet, start, kept),
      },
    ];
  });
}

/** Gives one network's machines their addresses; two on one address are a fault. */
function assign(segment: Segment, machines: readonly Machine[], faults: Fault[]): ReadonlyMap<number, number> {
  const { plan, hosts } = segment;
  const path = `networks.${plan.name}.cidr`;
  const taken = new Map<number, number>();
  const given = new Map<number, number>();
  if (machines.length > hosts.length) {
    const limit = `a subnet with ${String(machines.length)} free addresses for machines; it has ${String(hosts.length)}`;
    faults.push(fault(path, plan.cidr, limit, "Use a larger subnet (a smaller prefix length), or fewer machines."));
    return given;
  }
  for (const { id } of machines.toSorted((a, b) => a.id - b.id)) {
    const address = hostOf(id, hosts);
    if (address === undefined) continue;
    const other = taken.get(address);
    if (other !== undefined) {
      const limit = `one machine an address; on ${plan.cidr} the ids ${String(other)} and ${String(id)} both give ${formatIpv4(address)} of ${String(hosts.length)} addresses`;
      faults.push(
        fault(machinePath(id, "id"), id, limit, `Use another id, or a larger subnet in networks.${plan.name}.`),
      );
    }
    taken.set(address, id);
    given.set(id, address);
  }
  return given;
}

/**
 * Computes every address, MAC and name once (design §4). The host number comes from the machine's id alone
 * (`hostNumbers.ts` has the rule), so that no address moves when machines come and go. All faults at once: malformed
 * or overlapping subnets, VLAN ids, bridges, a gateway outside its subnet, a subnet too small, two ids on one address.
 *
 * `reserved` are addresses that no machine may get, such as that of the Proxmox host itself.
 */
export function planAddresses(input: {
  readonly networks: NetworkSettings;
  readonly machines: readonly Machine[];
  readonly reserved?: readonly string[];
}): Checked<AddressPlan> {
  const { networks, machines } = input;
  const faults: Fault[] = [...checkNetworks(networks)];
  for (const { id, networks: names } of machines) {
    if (names.length === 0 || new Set(names).size !== names.length) {
      faults.push(
        fault(
          machinePath(id, "networks"),
          names.join(", "),
          "one or more networks, each once",
          "List each network once.",
        ),
      );
    }
  }
  const reserved = (input.reserved ?? []).flatMap((text) => parseIpv4(text) ?? []);
  const router = dmzRouter(machines);
  const plans: NetworkPlan[] = [];
  const nics: NicPlan[] = [];
  const broken = new Set(faults.map(({ property }) => property.split(".")[1]));
  const sound = segments(networks, reserved).filter(({ plan }) => !broken.has(plan.name));
  for (const segment of sound) {
    const members = machines.filter(({ networks: names }) => names.includes(segment.plan.name));
    const given = assign(segment, members, faults);
    const routed = router === undefined ? undefined : given.get(router.id);
    const plan =
      segment.plan.name === "dmz" && routed !== undefined
        ? { ...segment.plan, gateway: formatIpv4(routed) }
        : segment.plan;
    plans.push(plan);
    for (const machine of members) {
      const address = given.get(machine.id);
      if (address === undefined) continue;
      nics.push(nicOf(machine, plan, formatIpv4(address), segment.subnet.prefix, networks.domain));
    }
  }
  const order = ({ machine, network }: NicPlan): number => machine * 4 + networkNames.indexOf(network);
  const { dnsServers, domain } = networks;
  return checked(faults, { networks: plans, nics: nics.sort((a, b) => order(a) - order(b)), dnsServers, domain });
}

function nicOf(machine: Machine, plan: NetworkPlan, address: string, prefix: number, domain: string): NicPlan {
  const first = machine.networks[0] === plan.name;
  const { name: network, bridge, vlanId, mtu } = plan;
  return {
    machine: machine.id,
    network,
    bridge,
    vlanId,
    mtu,
    address,
    prefix,
    cidr: `${address}/${String(prefix)}`,
    gateway: first && plan.gateway !== address ? plan.gateway : undefined,
    fqdn: `${machine.hostname}.${network}.${domain}`,
    mac: macOf(domain, network, machine.id),
  };
}
