import type { ProxmoxApi, Row } from "../proxmox/api.ts";
import { type HostObject, markOf } from "./objects.ts";

const text = (row: Row, name: string): string => {
  const value = row[name];
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
};

/**
 * Every object on the host of the kinds that we make, with its mark. Files carry none: those whose name begins with
 * `filePrefix` are listed, no others.
 */
export async function observeHost(api: ProxmoxApi, filePrefix?: string): Promise<HostObject[]> {
  const { node } = api;
  const [guests, networks, storages, pci, usb, groups, rules] = await Promise.all([
    observeGuests(api),
    api.list(`/nodes/${node}/network`),
    api.list("/storage"),
    api.list("/cluster/mapping/pci"),
    api.list("/cluster/mapping/usb"),
    api.list("/cluster/firewall/groups"),
    api.list("/cluster/firewall/rules"),
  ]);
  const used = new Set(rules.filter((row) => row["type"] === "group").map((row) => text(row, "action")));
  const described = (kind: HostObject["kind"], id: string, note: unknown): HostObject => ({
    kind,
    id,
    mark: markOf(note),
  });
  const files = filePrefix === undefined ? [] : await observeFiles(api, storages, filePrefix);
  return [
    ...guests,
    ...files,
    ...networks.map((row) => described("bridge", text(row, "iface"), row["comments"])),
    ...storages.map((row): HostObject => ({
      kind: "storage",
      id: text(row, "storage"),
      pool: text(row, "pool") || undefined,
    })),
    ...pci.map((row) => described("mapping", `pci/${text(row, "id")}`, row["description"])),
    ...usb.map((row) => described("mapping", `usb/${text(row, "id")}`, row["description"])),
    ...groups.map((row) => ({
      ...described("group", text(row, "group"), row["comment"]),
      inUse: used.has(text(row, "group")),
    })),
  ];
}

/** Images, templates and snippets by their names. */
async function observeFiles(api: ProxmoxApi, storages: readonly Row[], prefix: string): Promise<HostObject[]> {
  const found: HostObject[] = [];
  for (const storage of storages) {
    if (!/import|iso|vztmpl|snippets/.test(text(storage, "content"))) continue;
    const content = await api.list(`/nodes/${api.node}/storage/${text(storage, "storage")}/content`);
    for (const row of content) {
      const id = text(row, "volid");
      if (row["vmid"] === undefined && (id.split("/").at(-1) ?? "").startsWith(prefix))
        found.push({ kind: "file", id });
    }
  }
  return found;
}

async function observeGuests(api: ProxmoxApi): Promise<HostObject[]> {
  const found: HostObject[] = [];
  const nowSec = Number((await api.record(`/nodes/${api.node}/time`))["time"]);
  for (const guestType of ["qemu", "lxc"] as const) {
    for (const row of await api.list(`/nodes/${api.node}/${guestType}`)) {
      const id = text(row, "vmid");
      const config = await api.record(`/nodes/${api.node}/${guestType}/${id}/config`);
      const mark = markOf(config["description"]);
      const base = `/nodes/${api.node}/${guestType}/${id}`;
      found.push({
        kind: "guest",
        id,
        guestType,
        mark,
        ...(mark === undefined ? {} : { rules: (await api.list(`${base}/firewall/rules`)).length }),
        ...(mark === undefined ? {} : await lifeOf(api, id, nowSec)),
        protected: config["protection"] === 1 || config["protection"] === "1" || config["protection"] === true,
        running: row["status"] === "running",
        lock: text(config, "lock") || undefined,
      });
    }
  }
  return found;
}

/** What the host's task log tells of a guest's life. Nothing, once the log of its making has been rotated away. */
async function lifeOf(
  api: ProxmoxApi,
  id: string,
  nowSec: number,
): Promise<Pick<HostObject, "neverStarted" | "madeSecAgo">> {
  const tasks = await api.list(`/nodes/${api.node}/tasks`, { vmid: id, limit: 500, source: "all" });
  const times = (types: RegExp): number[] =>
    tasks.filter((task) => types.test(text(task, "type"))).map((task) => Number(task["starttime"]));
  const made = Math.max(...times(/^(qmcreate|vzcreate|qmclone|vzclone)$/));
  if (!Number.isFinite(made)) return {};
  const starts = times(/start|resume|rollback|restore/);
  return { neverStarted: starts.every((time) => time < made), madeSecAgo: Math.max(0, nowSec - made) };
}

/** Deletes the firewall rules of a guest, the last one first. */
export async function clearRules(api: ProxmoxApi, object: HostObject): Promise<void> {
  const base = `/nodes/${api.node}/${object.guestType ?? "qemu"}/${encodeURIComponent(object.id)}/firewall/rules`;
  for (let count = (await api.list(base)).length; count > 0; count -= 1)
    await api.change("DELETE", `${base}/${String(count - 1)}`);
}

/** The call that deletes an object; the network's needs an apply afterwards. */
export async function deleteObject(api: ProxmoxApi, object: HostObject): Promise<void> {
  const id = encodeURIComponent(object.id);
  switch (object.kind) {
    case "guest": {
      const guest = `/nodes/${api.node}/${object.guestType ?? "qemu"}/${id}`;
      if (object.running === true) await api.change("POST", `${guest}/status/stop`);
      if (object.protected === true) await api.change("PUT", `${guest}/config`, { protection: 0 });
      await api.change("DELETE", guest, { purge: 1 });
      return;
    }
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
      // Proxmox deletes empty groups only.
      for (let count = (await api.list(`/cluster/firewall/groups/${id}`)).length; count > 0; count -= 1)
        await api.change("DELETE", `/cluster/firewall/groups/${id}/${String(count - 1)}`);
      await api.change("DELETE", `/cluster/firewall/groups/${id}`);
      return;
    case "file":
      await api.change(
        "DELETE",
        `/nodes/${api.node}/storage/${encodeURIComponent(object.id.split(":")[0] ?? "")}/content/${id}`,
      );
      return;
  }
}
