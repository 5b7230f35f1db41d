import type { ProxmoxApi, Row } from "../proxmox/api.ts";
import type { HostObject } from "../repair/objects.ts";

/** An object's own configuration as the API gives it. */
export interface FoundObject {
  readonly object: HostObject;
  readonly config: Row;
  /** Guests: number of firewall rules of their own. */
  readonly rules: number;
}

/** Reads the configuration of an object on the host. Changes nothing. */
export async function readObject(api: ProxmoxApi, object: HostObject): Promise<FoundObject> {
  const { node } = api;
  const id = encodeURIComponent(object.id);
  switch (object.kind) {
    case "guest": {
      const guest = `/nodes/${node}/${object.guestType ?? "qemu"}/${id}`;
      const [config, rules] = await Promise.all([api.record(`${guest}/config`), api.list(`${guest}/firewall/rules`)]);
      return { object, config, rules: rules.length };
    }
    case "bridge":
      return { object, config: await api.record(`/nodes/${node}/network/${id}`), rules: 0 };
    case "storage":
      return { object, config: await api.record(`/storage/${id}`), rules: 0 };
    case "mapping":
      return { object, config: await api.record(`/cluster/mapping/${object.id}`), rules: 0 };
    case "group":
      return { object, config: { rules: await api.list(`/cluster/firewall/groups/${id}`) }, rules: 0 };
    case "file":
      return { object, config: {}, rules: 0 };
  }
}

/** Names of the host's bridges and VLANs; its physical cards are in the same list and are nobody's to adopt. */
export async function bridgeNames(api: ProxmoxApi): Promise<ReadonlySet<string>> {
  const rows = await api.list(`/nodes/${api.node}/network`);
  return new Set(rows.filter((row) => /bridge|vlan/i.test(String(row["type"]))).map((row) => String(row["iface"])));
}
