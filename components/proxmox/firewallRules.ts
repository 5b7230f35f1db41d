import type { types } from "@muhlba91/pulumi-proxmoxve";

/** One rule of a guest's firewall: the first that matches decides, and what none accepts is dropped on its way in. */
export interface GuestFirewallRule {
  /** @default "in" */
  readonly direction?: "in" | "out" | undefined;
  /** @default "ACCEPT" */
  readonly action?: "ACCEPT" | "DROP" | "REJECT" | undefined;
  /** `tcp`, `udp`, `icmp`; any protocol when absent. */
  readonly proto?: string | undefined;
  /** Destination port, range (`8000:8010`) or list. */
  readonly dport?: string | undefined;
  /** Source address or network in CIDR form; anywhere when absent. */
  readonly source?: string | undefined;
  /** Destination address or network in CIDR form; anywhere when absent. */
  readonly dest?: string | undefined;
  /** Card that it is about, for example `net0`; all when absent. */
  readonly iface?: string | undefined;
  /** Why it is there. */
  readonly comment: string;
}

/** The rules as Proxmox takes them, in order. */
export function firewallRules(rules: readonly GuestFirewallRule[]): types.input.firewall.RulesLegacyRule[] {
  return rules.map((rule) => ({
    type: rule.direction ?? "in",
    action: rule.action ?? "ACCEPT",
    enabled: true,
    comment: rule.comment,
    ...(rule.proto === undefined ? {} : { proto: rule.proto }),
    ...(rule.dport === undefined ? {} : { dport: rule.dport }),
    ...(rule.source === undefined ? {} : { source: rule.source }),
    ...(rule.dest === undefined ? {} : { dest: rule.dest }),
    ...(rule.iface === undefined ? {} : { iface: rule.iface }),
  }));
}
