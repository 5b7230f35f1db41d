import { isIP } from "node:net";
import { checkForm, fault } from "../shared/check.ts";
import type { Fault } from "../shared/faults.ts";
import { parseCidr } from "../shared/ipv4.ts";
import type { GuestFirewallRule } from "./firewallRules.ts";

/** Protocols with ports: a rule with `dport` needs one of them. */
const withPorts = ["tcp", "udp", "udplite", "sctp", "dccp"];
/** Of the names of /etc/protocols those that a guest may meet; any other goes by its number. */
const protocols = [...withPorts, "icmp", "icmpv6", "ipv6-icmp", "igmp", "gre", "esp", "ah", "ipencap", "ipv6", "vrrp"];
/** iptables-extensions(8), multiport: up to 15 ports; a range counts as two. */
const mostPorts = 15;
/** The text that Proxmox writes behind `#` in its file: one line. */
const comment = /^[^\p{Cc}]{0,256}$/u;

/** Every fault of a firewall's rules. `cards`: how many network cards the guest has. */
export function checkFirewallRules(rules: readonly GuestFirewallRule[], cards: number): readonly Fault[] {
  return rules.flatMap((rule, index) => {
    const path = `firewallRules[${String(index)}]`;
    const { proto, dport, iface } = rule;
    return [
      ...oneOf(`${path}.direction`, rule.direction, ["in", "out"]),
      ...oneOf(`${path}.action`, rule.action, ["ACCEPT", "DROP", "REJECT"]),
      ...(proto === undefined || isProtocol(proto)
        ? []
        : [fault(`${path}.proto`, proto, `${protocols.join(", ")}, or a number to 255`, "Write one of them.")]),
      ...(dport === undefined ? [] : checkPorts(`${path}.dport`, dport, proto)),
      ...checkPeer(`${path}.source`, rule.source),
      ...checkPeer(`${path}.dest`, rule.dest),
      ...(iface === undefined || cardNames(cards).includes(iface)
        ? []
        : [fault(`${path}.iface`, iface, cardNames(cards).join(", "), "Name a card of this guest, or leave it out.")]),
      ...checkForm(`${path}.comment`, rule.comment, comment, "one line of up to 256 characters", "Shorten it."),
    ];
  });
}

function cardNames(cards: number): readonly string[] {
  return Array.from({ length: cards }, (_, card) => `net${String(card)}`);
}

function oneOf(property: string, value: string | undefined, values: readonly string[]): readonly Fault[] {
  if (value === undefined || values.includes(value)) return [];
  return [fault(property, value, values.join(", "), "Write one of them.")];
}

function isProtocol(proto: string): boolean {
  return protocols.includes(proto) || (/^\d{1,3}$/.test(proto) && Number(proto) <= 255);
}

function checkPorts(property: string, dport: string, proto: string | undefined): readonly Fault[] {
  const faults: Fault[] = [];
  if (proto === undefined || !withPorts.includes(proto)) {
    const limit = `a rule with one of ${withPorts.join(", ")} as its proto; it has ${proto ?? "none"}`;
    faults.push(fault(property, dport, limit, "Give the protocol, or leave the port out."));
  }
  const parts = dport.split(",");
  const count = parts.reduce((sum, part) => sum + (part.includes(":") ? 2 : 1), 0);
  if (!parts.every(isPortOrRange) || count > mostPorts) {
    const limit = `ports from 1 to 65535 and ranges such as 8000:8010, at most ${String(mostPorts)}, with commas between`;
    faults.push(fault(property, dport, limit, "Write ports in numbers; make a rule for each group of them."));
  }
  return faults;
}

function isPortOrRange(text: string): boolean {
  const ends = text.split(":").map((end) => (/^[1-9]\d{0,4}$/.test(end) ? Number(end) : Number.NaN));
  const [low = Number.NaN, high = low] = ends;
  return ends.length <= 2 && low <= high && high <= 65_535;
}

function checkPeer(property: string, peer: string | undefined): readonly Fault[] {
  if (peer === undefined || isIP(peer) !== 0 || parseCidr(peer) !== undefined || isIpv6Network(peer)) return [];
  return [fault(property, peer, "an address or a network such as 10.20.10.0/24", "Write it in numbers.")];
}

function isIpv6Network(text: string): boolean {
  const [address = "", prefix = "", ...more] = text.split("/");
  return more.length === 0 && isIP(address) === 6 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= 128;
}
