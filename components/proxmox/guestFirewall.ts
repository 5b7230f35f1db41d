import type { types } from "@muhlba91/pulumi-proxmoxve";

/** One kind of incoming traffic that a guest accepts. */
export interface GuestFirewallRule {
  /** `tcp`, `udp`, `icmp`; any protocol when absent. */
  readonly proto?: string | undefined;
  /** Destination port, range (`8000:8010`) or list. */
  readonly dport?: string | undefined;
  /** Source address or network in CIDR form; anywhere when absent. */
  readonly source?: string | undefined;
  /** Why it is open. */
  readonly comment: string;
}

/** The rules as Proxmox takes them, in order, all accepting. */
export function guestFirewallRules(allow: readonly GuestFirewallRule[]): types.input.firewall.RulesLegacyRule[] {
  return allow.map((rule) => ({
    type: "in",
    action: "ACCEPT",
    enabled: true,
    comment: rule.comment,
    ...(rule.proto === undefined ? {} : { proto: rule.proto }),
    ...(rule.dport === undefined ? {} : { dport: rule.dport }),
    ...(rule.source === undefined ? {} : { source: rule.source }),
  }));
}
