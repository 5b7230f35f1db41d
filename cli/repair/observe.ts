import type { ProxmoxApi, Row } from "../proxmox/api.ts";
import { type HostObject, markOf } from "./objects.ts";

const text = (row: Row, name: string): string => {
  const value = row[name];
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
};

/** Every object on the host of the kinds that we make, with its mark. */
export async function observeHost(api: ProxmoxApi): Promise<HostObject[]> {
  const { node } = api;
  const [guests, networks, storages, pci, usb, groups] = await Promise.all([
    observeGuests(api),
    api.list(`/nodes/${node}/network`),
    api.list("/storage"),
    api.list("/cluster/mapping/pci"),
    api.list("/cluster/mapping/usb"),
    api.list("/cluster/firewall/groups"),
  ]);
  const described = (kind: HostObject["kind"], id: string, note: unknown): HostObject => ({
    kind,
    id,
    mark: markOf(note),
  });
  return [
    ...guests,
    ...networks.map((row) => described("bridge", text(row, "iface"), row["comments"])),
    ...storages.map((row): HostObject => ({
      kind: "storage",
      id: text(row, "storage"),
      pool: text(row, "pool") || undefined,
    })),
    ...pci.map((row) => described("mapping", `pci/${text(row, "id")}`, row["description"])),
    ...usb.map((row) => described("mapping", `usb/${text(row, "id")}`, row["description"])),
    ...groups.map((row) => described("group", text(row, "group"), row["comment"])),
  ];
}

async function observeGuests(api: ProxmoxApi): Promise<HostObject[]> {
  const found: HostObject[] = [];
  for (const guestType of ["qemu", "lxc"] as const) {
    for (const row of await api.list(`/nodes/${api.node}/${guestType}`)) {
      const id = text(row, "vmid");
      const config = await api.record(`/nodes/${api.node}/${guestType}/${id}/config`);
      found.push({
        kind: "guest",
        id,
        guestType,
        mark: markOf(config["description"]),
        protected: config["protection"] === 1 || config["protection"] === "1" || config["protection"] === true,
        running: row["status"] === "running",
        lock: text(config, "lock") || undefined,
      });
    }
  }
  return found;
}

/** The call that deletes an object; the network's needs an apply afterwards. */
export async function deleteObject(api: ProxmoxApi, object: HostObject): Promise<void> {
  const id = encodeURIComponent(object.id);
  switch (object.kind) {
    case "guest":
      await api.change("DELETE", `/nodes/${api.node}/${object.guestType ?? "qemu"}/${id}`, { purge: 1 });
      return;
    case "bridge":
      await api.change("DELETE", `/nodes/${api.node}/network/${id}`);
      await api.change("PUT", `/nodes/${api.node}/network`);
      return;
    case "mapping":
      await api.change("DELETE", `/cluster/mapping/${object.id}`);
      return;
    case "storage":
      await api.change("DELETE", `/storage/${id}`);
      return;
    case "group":
      await api.change("DELETE", `/cluster/firewall/groups/${id}`);
      return;
    case "file":
      // Creating a file again overwrites it.
      return;
  }
}
