import * as proxmox from "@muhlba91/pulumi-proxmoxve";
import * as pulumi from "@pulumi/pulumi";
import type { FirewallRulePlan } from "../shared/firewallPlan.ts";
import { firewallRules } from "./firewallRules.ts";
import { renderFirewallStep } from "./firewallScripts.ts";
import { describedAs } from "./resourceText.ts";
import { rootStep, type HostConnection } from "./rootStep.ts";

/** Arguments of {@link HostFirewall}. */
export interface HostFirewallArgs {
  /** Name of the security group, at most 18 characters (Proxmox's limit). */
  readonly group: string;
  /** What the host accepts, in order; the rows for the admin addresses come first. */
  readonly rules: readonly FirewallRulePlan[];
  readonly host: HostConnection;
}

/**
 * The host's own firewall: a security group with what may come in, and a step that puts the group first in the rules
 * and only then turns the firewall on with "drop" as its policy. Removal goes the other way round, so that 8006 and
 * 22 are never closed to the admin addresses; other people's rules and the former policy come back untouched.
 *
 * The last step goes over SSH because the provider cannot do it safely: it refuses to add rules beside existing ones,
 * and on removal leaves the firewall on (bpg 0.111.1, `RulesCreate` and `firewallDelete`).
 */
export class HostFirewall extends pulumi.ComponentResource {
  constructor(name: string, args: HostFirewallArgs, opts?: pulumi.ComponentResourceOptions) {
    const { host, ...plain } = args;
    super("hive:index:HostFirewall", name, plain, opts);
    const groupName = `${name}-group`;
    const group = new proxmox.cluster.firewall.security.GroupLegacy(
      groupName,
      {
        name: args.group,
        comment: describedAs(
          "Hive host",
          groupName,
          "proxmoxve:cluster/firewall/security/groupLegacy:GroupLegacy",
          this,
        ),
        rules: firewallRules(args.rules),
      },
      { parent: this },
    );
    rootStep(`${name}-enable`, { host, ...renderFirewallStep(args.group) }, { parent: this, dependsOn: [group] });
    this.registerOutputs({});
  }
}
