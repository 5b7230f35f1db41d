import * as proxmox from "@muhlba91/pulumi-proxmoxve";
import * as pulumi from "@pulumi/pulumi";
import type { NetworkPlan } from "../shared/addressing.ts";
import { describedAs } from "./resourceText.ts";

/** Arguments of {@link HostNetwork}. */
export interface HostNetworkArgs {
  readonly nodeName: string;
  /** Networks of the address plan. The first (`lan`) sits on a bridge that is already there and is left alone. */
  readonly networks: readonly NetworkPlan[];
}

/**
 * The host's own bridges: vmbr1 (private, jumbo frames, no uplink) and vmbr2 (DMZ, no uplink), VLAN-aware where a
 * network is tagged, with the host's leg where the plan gives it an address. vmbr0 carries the management address:
 * it is adopted, never created, changed or destroyed.
 */
export class HostNetwork extends pulumi.ComponentResource {
  /** Bridge names by network, known once each bridge is live. */
  readonly bridges: pulumi.Output<Readonly<Record<string, string>>>;
  /** Our bridges by their own name: what a guest with a card on one waits for. */
  readonly ownBridges: Readonly<Record<string, pulumi.Resource>>;

  constructor(name: string, args: HostNetworkArgs, opts?: pulumi.ComponentResourceOptions) {
    super("hive:index:HostNetwork", name, args, opts);
    // Each change reloads the host's network: one after the other, never two at once.
    let previous: pulumi.Resource[] = [];
    const live: pulumi.Output<readonly [string, string]>[] = [];
    const own: Record<string, pulumi.Resource> = {};

    for (const network of args.networks) {
      if (network.name === "lan") {
        live.push(pulumi.output([network.name, network.bridge] as const));
        continue;
      }
      const tagged = network.vlanId !== undefined;
      const bridgeName = `${name}-${network.bridge}`;
      const bridge = new proxmox.network.linux.Bridge(
        bridgeName,
        {
          nodeName: args.nodeName,
          name: network.bridge,
          comment: describedAs(`Hive ${network.name}`, bridgeName, "proxmoxve:network/linux/bridge:Bridge", this),
          mtu: network.mtu,
          vlanAware: tagged,
          autostart: true,
          ...(network.hostAddress !== undefined && !tagged ? { address: network.hostAddress } : {}),
        },
        { parent: this, dependsOn: previous },
      );
      own[network.bridge] = bridge;
      previous = [bridge];
      if (network.hostAddress !== undefined && network.vlanId !== undefined) {
        const legName = `${name}-${network.bridge}-host`;
        const leg = new proxmox.network.linux.Vlan(
          legName,
          {
            nodeName: args.nodeName,
            name: `${network.bridge}.${String(network.vlanId)}`,
            comment: describedAs(`Hive ${network.name}, host`, legName, "proxmoxve:network/linux/vlan:Vlan", this),
            mtu: network.mtu,
            address: network.hostAddress,
            autostart: true,
          },
          { parent: this, dependsOn: previous },
        );
        previous = [leg];
      }
      live.push(bridge.id.apply(() => [network.name, network.bridge] as const));
    }

    this.ownBridges = own;
    this.bridges = pulumi.all(live).apply((pairs) => Object.fromEntries(pairs));
    this.registerOutputs({ bridges: this.bridges });
  }
}
