import type { AddressPlan } from "./addressing.ts";
import type { Checked, Fault } from "./faults.ts";
import type { Machine } from "./machines.ts";
import { checked, checkWhole, fault, faultInWords } from "./check.ts";
import { overlap, parseCidr, parseIpv4 } from "./ipv4.ts";

/** One rule in the order of the Proxmox firewall: the first that matches decides. */
export interface FirewallRulePlan {
  readonly direction: "in" | "out";
  readonly action: "ACCEPT" | "DROP" | "REJECT";
  readonly proto?: string | undefined;
  /** Destination port. */
  readonly dport?: string | undefined;
  /** Source address or subnet. */
  readonly source?: string | undefined;
  /** Destination address or subnet. */
  readonly dest?: string | undefined;
  /** Card of the guest, for example `net0`. */
  readonly iface?: string | undefined;
  readonly comment: string;
}

const denyIn: FirewallRulePlan = { direction: "in", action: "DROP", comment: "default: deny in" };
const sshPort = 22;
const apiPort = 8006;

/** Faults of the admin addresses: subnets or single addresses, at least one, none that is everybody or in the DMZ. */
function checkAdminCidrs(adminCidrs: readonly string[], dmzCidr: string): readonly Fault[] {
  const faults: Fault[] = [];
  const seen = new Set<string>();
  const dmz = parseCidr(dmzCidr);
  if (adminCidrs.length === 0 || adminCidrs.length > 32) {
    const given = `${String(adminCidrs.length)} addresses`;
    faults.push(
      faultInWords(
        "adminCidrs",
        given,
        "1 to 32 IPv4 addresses or subnets",
        "Name the address that you administer the host from.",
      ),
    );
  }
  adminCidrs.forEach((text, index) => {
    const property = `adminCidrs[${String(index)}]`;
    const subnet = parseCidr(parseIpv4(text) === undefined ? text : `${text}/32`);
    if (subnet === undefined || subnet.prefix < 8) {
      faults.push(
        fault(
          property,
          text,
          "an IPv4 address, or a subnet by its network address with prefix length 8 to 32",
          "Name only addresses you administer from.",
        ),
      );
    } else if (dmz !== undefined && overlap(subnet, dmz)) {
      faults.push(
        fault(
          property,
          text,
          "no address of the DMZ: code tests run there",
          "Administer from the LAN or the private network.",
        ),
      );
    } else if (seen.has(text)) {
      faults.push(fault(property, text, "each address once", "Remove the second one."));
    }
    seen.add(text);
  });
  return faults;
}

/**
 * The host's own rules: admin addresses reach the API and SSH. Nothing is dropped here: the firewall's policy does that
 * for what no rule accepts, after other people's rules and Proxmox's own for cluster and management. Ports default to
 * 8006 and 22, which are open to the admin in any case.
 */
export function planHostFirewall(input: {
  readonly adminCidrs: readonly string[];
  /** Subnet of the DMZ, which no admin address may be in. */
  readonly dmzCidr: string;
  readonly apiPort?: number;
  readonly sshPort?: number;
}): Checked<readonly FirewallRulePlan[]> {
  const { adminCidrs, dmzCidr } = input;
  const api = input.apiPort ?? apiPort;
  const ssh = input.sshPort ?? sshPort;
  // The host's own ports stay open beside those that we were told: behind a proxy or a tunnel they differ.
  const ports = [...new Set([apiPort, sshPort, api, ssh])];
  const faults: Fault[] = [
    ...checkAdminCidrs(adminCidrs, dmzCidr),
    ...checkWhole("endpoint", api, 1, 65_535, "", "Use the API's TCP port, usually 8006."),
    ...checkWhole("ssh.port", ssh, 1, 65_535, "", "Use the port of the host's sshd, usually 22."),
  ];
  const allow = adminCidrs.flatMap((source) =>
    ports.map((port): FirewallRulePlan => ({
      direction: "in",
      action: "ACCEPT",
      proto: "tcp",
      dport: String(port),
      source,
      comment: `admin: port ${String(port)}`,
    })),
  );
  const ping = adminCidrs.map((source): FirewallRulePlan => ({
    direction: "in",
    action: "ACCEPT",
    proto: "icmp",
    source,
    comment: "admin: ping",
  }));
  return checked(faults, [...allow, ...ping]);
}

/** Ports that a role serves to the LAN: the API gateway of an AI machine (seed 001 §4). */
const lanPorts: Readonly<Partial<Record<Machine["role"], readonly string[]>>> = { ai: ["443"] };
/** Ports that a role serves to admin addresses: Frigate's authenticated page; Wazuh's dashboard. */
const adminPorts: Readonly<Partial<Record<Machine["role"], readonly string[]>>> = {
  vision: ["8971"],
  security: ["443"],
};

/**
 * One guest's rules (design §4): remote login from admin addresses, its role's services, free traffic among guests on
 * the private network, no way from the DMZ to the LAN or the private network, and default deny in. Cards are `net0`
 * and so on, in the order of the machine's networks.
 */
export function planGuestFirewall(
  machine: Machine,
  plan: AddressPlan,
  adminCidrs: readonly string[],
): readonly FirewallRulePlan[] {
  const cidrOf = (name: string): string | undefined => plan.networks.find((network) => network.name === name)?.cidr;
  const [lan, inner, dmz] = [cidrOf("lan"), cidrOf("private"), cidrOf("dmz")];
  const iface = (name: Machine["networks"][number]): string => `net${String(machine.networks.indexOf(name))}`;
  const has = (name: Machine["networks"][number]): boolean => machine.networks.includes(name);
  const rules: FirewallRulePlan[] = [];
  const login = machine.os === "windows" ? "3389" : "22";
  for (const dport of [login, ...(adminPorts[machine.role] ?? [])]) {
    for (const source of adminCidrs)
      rules.push({ direction: "in", action: "ACCEPT", proto: "tcp", dport, source, comment: `admin: port ${dport}` });
  }
  if (has("lan")) {
    for (const dport of lanPorts[machine.role] ?? []) {
      rules.push({
        direction: "in",
        action: "ACCEPT",
        proto: "tcp",
        dport,
        source: lan,
        iface: iface("lan"),
        comment: `LAN: port ${dport}`,
      });
    }
  }
  if (has("private")) {
    rules.push({
      direction: "in",
      action: "ACCEPT",
      source: inner,
      iface: iface("private"),
      comment: "private: guests among themselves",
    });
  }
  const own = plan.nics.find((nic) => nic.machine === machine.id && nic.network === "dmz")?.address;
  if (has("dmz")) rules.push(...dmzRules(has("lan") ? "router" : "guest", iface("dmz"), lan, inner, dmz, own));
  return [...rules, denyIn];
}

/** The DMZ's border: closed at the guest for what goes out, and at the router for what comes in from it. */
function dmzRules(
  side: "router" | "guest",
  iface: string,
  lan?: string,
  inner?: string,
  dmz?: string,
  own?: string,
): readonly FirewallRulePlan[] {
  const closed = [lan, inner].filter((cidr) => cidr !== undefined);
  const direction = side === "router" ? "in" : "out";
  const comment = "DMZ: no way to the LAN or the private network";
  const drops = closed.map((dest): FirewallRulePlan => ({
    direction,
    action: "DROP",
    source: side === "router" ? dmz : undefined,
    dest,
    iface,
    comment,
  }));
  if (side === "guest") return drops;
  return [
    ...drops,
    {
      direction: "in",
      action: "ACCEPT",
      proto: "icmp",
      source: dmz,
      dest: own,
      iface,
      comment: "DMZ: ping the gateway",
    },
    {
      direction: "in",
      action: "DROP",
      source: dmz,
      dest: own,
      iface,
      comment: "DMZ: no service of the gateway itself",
    },
    { direction: "in", action: "ACCEPT", source: dmz, iface, comment: "DMZ: to the internet through this machine" },
  ];
}
