import type { Fault } from "./faults.ts";
import type { NetworkSettings } from "./genesisSettings.ts";
import type { NetworkName } from "./machines.ts";
import type { Subnet } from "./ipv4.ts";
import { checkForm, checkWhole, dnsLabel, fault, faultInWords } from "./check.ts";
import { hasHost, isPrivate, overlap, parseCidr, parseIpv4 } from "./ipv4.ts";

/** Names that Proxmox takes for a bridge (pve-iface). */
const bridgeName = /^[A-Za-z][A-Za-z0-9_]{1,9}$/;
/** The smallest IPv6 link MTU and the largest jumbo frame common hardware passes. */
const mtuRange = { least: 1280, most: 9216 } as const;
const names: readonly NetworkName[] = ["lan", "private", "dmz"];

interface Parsed {
  readonly name: NetworkName;
  readonly subnet: Subnet;
}

function checkSubnet(name: NetworkName, cidr: string, faults: Fault[]): Parsed[] {
  const path = `networks.${name}.cidr`;
  const subnet = parseCidr(cidr);
  if (subnet === undefined || subnet.prefix < 8 || subnet.prefix > 29) {
    const limit = "an IPv4 subnet by its network address with prefix length 8 to 29, such as 10.20.10.0/24";
    faults.push(fault(path, cidr, limit, "Write the subnet's first address and its prefix length."));
    return [];
  }
  if (name !== "lan" && !isPrivate(subnet)) {
    faults.push(
      fault(
        path,
        cidr,
        "a subnet of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16 (RFC 1918)",
        "Choose a private subnet.",
      ),
    );
  }
  return [{ name, subnet }];
}

/** Every later one of a list that equals or overlaps an earlier one. */
function clashes<T>(list: readonly T[], clash: (a: T, b: T) => boolean): readonly (readonly [T, T])[] {
  return list.flatMap((later, index) => {
    const earlier = list.slice(0, index).find((other) => clash(other, later));
    return earlier === undefined ? [] : [[earlier, later] as const];
  });
}

function checkLan(lan: NetworkSettings["lan"], subnet: Subnet | undefined, faults: Fault[]): void {
  const gateway = parseIpv4(lan.gateway);
  if (gateway === undefined) {
    faults.push(
      fault("networks.lan.gateway", lan.gateway, "an IPv4 address", "Write the address of the house's router."),
    );
  } else if (subnet !== undefined && !hasHost(subnet, gateway)) {
    faults.push(
      fault(
        "networks.lan.gateway",
        lan.gateway,
        `a host of ${lan.cidr}`,
        "Use the router's address inside the subnet.",
      ),
    );
  }
  const most = subnet === undefined ? 2 ** 24 - 2 : subnet.last - subnet.base;
  faults.push(
    ...checkWhole(
      "networks.lan.firstHost",
      lan.firstHost,
      1,
      most,
      "",
      "Choose the first host number outside the DHCP range of the LAN.",
    ),
  );
}

/** Every fault of the networks' settings. */
export function checkNetworks(networks: NetworkSettings): readonly Fault[] {
  const faults: Fault[] = [];
  const subnets: Parsed[] = [];
  for (const name of names) {
    const { bridge, cidr, vlanId } = networks[name];
    faults.push(
      ...checkForm(
        `networks.${name}.bridge`,
        bridge,
        bridgeName,
        "a bridge name of 2 to 10 characters, such as vmbr1",
        "Use the name Proxmox shows under Network.",
      ),
    );
    if (vlanId !== undefined) {
      faults.push(
        ...checkWhole(
          `networks.${name}.vlanId`,
          vlanId,
          1,
          4094,
          "",
          "Choose a VLAN id (IEEE 802.1Q), or leave it out.",
        ),
      );
    }
    subnets.push(...checkSubnet(name, cidr, faults));
  }
  for (const [first, second] of clashes(subnets, (a, b) => overlap(a.subnet, b.subnet))) {
    const limit = `no overlap with networks.${first.name}.cidr, ${networks[first.name].cidr}`;
    faults.push(
      fault(
        `networks.${second.name}.cidr`,
        networks[second.name].cidr,
        limit,
        "Give each network a subnet of its own.",
      ),
    );
  }
  for (const [first, second] of clashes(names, (a, b) => networks[a].bridge === networks[b].bridge)) {
    const limit = `a bridge of its own; networks.${first}.bridge has this one`;
    faults.push(
      fault(
        `networks.${second}.bridge`,
        networks[second].bridge,
        limit,
        "Name another bridge: the networks must not meet.",
      ),
    );
  }
  const tagged = names.filter((name) => networks[name].vlanId !== undefined);
  for (const [first, second] of clashes(tagged, (a, b) => networks[a].vlanId === networks[b].vlanId)) {
    const limit = `a VLAN id of its own; networks.${first}.vlanId has this one`;
    faults.push(fault(`networks.${second}.vlanId`, networks[second].vlanId, limit, "Choose another VLAN id."));
  }
  checkLan(networks.lan, subnets.find(({ name }) => name === "lan")?.subnet, faults);
  faults.push(
    ...checkWhole(
      "networks.private.mtu",
      networks.private.mtu,
      mtuRange.least,
      mtuRange.most,
      "bytes",
      "Use 9000 on a bridge without uplink.",
    ),
  );
  if (networks.domain.length > 200 || !networks.domain.split(".").every((label) => dnsLabel.test(label))) {
    faults.push(
      fault(
        "networks.domain",
        networks.domain,
        "a DNS domain in lower case, such as hive.internal",
        "Correct the domain.",
      ),
    );
  }
  if (networks.dnsServers.length === 0 || networks.dnsServers.length > 3) {
    const given = `${String(networks.dnsServers.length)} resolvers`;
    // glibc's resolver reads three (resolv.conf(5), MAXNS).
    faults.push(
      faultInWords("networks.dnsServers", given, "1 to 3 IPv4 addresses", "Name the resolvers of your network."),
    );
  }
  networks.dnsServers.forEach((server, index) => {
    if (parseIpv4(server) !== undefined) return;
    faults.push(fault(`networks.dnsServers[${String(index)}]`, server, "an IPv4 address", "Correct the address."));
  });
  return faults;
}
