import * as proxmox from "@muhlba91/pulumi-proxmoxve";
import * as pulumi from "@pulumi/pulumi";
import type { GuestFirewallRule } from "../proxmox/firewallRules.ts";
import { ProxmoxGuest } from "../proxmox/guest.ts";
import type { MadeServer, PartsOf } from "./parts.ts";
import { loginOf, type ProxmoxPlace } from "./place.ts";

const privateNetworks = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];

/** The fence: in, what was asked for; out, of a throwaway server, no private network but its resolvers and peers. */
function rulesOf({ plan, place, peers }: PartsOf<ProxmoxPlace>): GuestFirewallRule[] {
  const inward = plan.openings.flatMap(({ port, protocol, from, comment }) =>
    from.map((source): GuestFirewallRule => ({ proto: protocol, dport: String(port), source, comment })),
  );
  if (plan.protect) return inward;
  const out = (rule: Omit<GuestFirewallRule, "direction">): GuestFirewallRule => ({ direction: "out", ...rule });
  return [
    ...inward,
    ...peers.map(({ address, port }) =>
      out({ proto: "tcp", dport: String(port), dest: address, comment: "its Sentinel" }),
    ),
    ...place.dns.servers.flatMap((dest) =>
      ["udp", "tcp"].map((proto) => out({ proto, dport: "53", dest, comment: "its resolver" })),
    ),
    ...privateNetworks.map((dest) => out({ action: "DROP", dest, comment: "a throwaway server has no neighbours" })),
  ];
}

/** A server on the Proxmox host: a guest of the estate with the tags, the fence and the pool of its kind. */
export function proxmoxServer(parts: PartsOf<ProxmoxPlace>): MadeServer {
  const { name, place, hostname, plan, parent } = parts;
  const kind = place.guest ?? "container";
  const guest = new ProxmoxGuest(
    `${name}-guest`,
    {
      vmId: place.vmId,
      hostname,
      nodeName: place.nodeName,
      kind,
      os: place.os ?? "debian",
      // Ids from 300 on are containers and workers; what is in a VM of its own belongs to the DMZ.
      role: kind === "container" ? "worker" : "sandbox",
      extraTags: plan.tags.proxmox,
      vcpus: plan.offer.vcpus,
      memory: plan.offer.ramMiB,
      diskGiB: place.diskGiB ?? 8,
      nics: [place.nic],
      nesting: kind === "container",
      protect: plan.protect,
      storageId: place.storageId,
      image: place.image,
      vendorData: place.vendorData,
      pool: place.pool,
      admin: { user: loginOf(place), publicKeys: [parts.publicKey] },
      dns: place.dns,
      firewallRules: rulesOf(parts),
    },
    { parent },
  );
  const ready: pulumi.Resource[] = [guest];
  if (place.backupStorage !== undefined) {
    const backup = {
      resourceId: `hive-${hostname}`,
      storage: place.backupStorage,
      schedule: "03:00",
      vmids: [String(place.vmId)],
      mode: "snapshot",
      compress: "zstd",
      enabled: true,
      pruneBackups: { "keep-daily": "7", "keep-weekly": "4" },
    };
    ready.push(new proxmox.backup.Job(`${name}-backup`, backup, { parent }));
  }
  const [address = ""] = place.nic.cidr.split("/");
  return {
    machine: guest.machine,
    ...(kind === "container" ? { container: String(place.vmId) } : {}),
    ready,
    address: pulumi.output(address),
    // A guest that went without us is forgotten with all on it before its successor is made.
    life: guest.machine.id,
    serverId: pulumi.interpolate`${guest.vmId}`,
  };
}
