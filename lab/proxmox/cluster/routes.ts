/** The cluster of one node: resources, next id, options, high availability (none), backup jobs (none). */
import { allowed, need } from "../access/permissions.ts";
import { die, paramError } from "../core/errors.ts";
import { parseProperty, splitList } from "../core/property.ts";
import { type Context, integer, type Route } from "../core/router.ts";
import { guestStatus } from "../guests/status.ts";
import { space } from "../guests/volumes.ts";
import { nodeRow } from "../host/node-routes.ts";

const CLUSTER = "pve-manager@14a22df3 PVE/API2/Cluster.pm";

function resources(context: Context): unknown[] {
  const { state, identity, params, env } = context;
  const type = params["type"];
  const rows: unknown[] = [];
  if (type === undefined || type === "vm") {
    for (const guest of Object.values(state.guests)) {
      if (!allowed(state, identity, `/vms/${guest.vmid}`, "VM.Audit")) continue;
      const status = guestStatus(state, guest, env.nowMs);
      const pool = Object.values(state.pools).find((p) => p.vms.includes(guest.vmid))?.poolid;
      rows.push({
        id: `${guest.kind}/${guest.vmid}`,
        type: guest.kind,
        vmid: guest.vmid,
        node: state.node.name,
        name: status["name"],
        status: status["status"],
        maxcpu: status["cpus"],
        cpu: status["cpu"],
        maxmem: status["maxmem"],
        mem: status["mem"],
        maxdisk: status["maxdisk"],
        disk: status["disk"],
        uptime: status["uptime"],
        template: guest.config["template"] === "1" ? 1 : 0,
        ...(guest.config["tags"] === undefined ? {} : { tags: guest.config["tags"] }),
        ...(guest.config["lock"] === undefined ? {} : { lock: guest.config["lock"] }),
        ...(pool === undefined ? {} : { pool }),
      });
    }
  }
  if (type === undefined || type === "node") rows.push(nodeRow(context));
  if (type === undefined || type === "storage") {
    for (const storage of Object.values(state.storages)) {
      if (!allowed(state, identity, `/storage/${storage.storage}`, "Datastore.Audit")) continue;
      const use = space(state, storage);
      rows.push({
        id: `storage/${state.node.name}/${storage.storage}`,
        type: "storage",
        storage: storage.storage,
        node: state.node.name,
        plugintype: storage.type,
        content: storage.options["content"] ?? "",
        status: "available",
        shared: 0,
        maxdisk: use.total,
        disk: use.used,
      });
    }
  }
  return rows;
}

const OPTION_NAMES = `bwlimit consent-text console crs description email_from fencing ha http_proxy keyboard language
  mac_prefix max_workers migration migration_unsecure next-id notify registered-tags replication tag-style u2f
  user-tag-access webauthn`;

/** A list over which nothing is: no node of the lab has it. */
const emptyList = (path: string, source: string, params = ""): Route => ({
  method: "GET",
  path,
  params,
  source,
  handle: () => [],
});

export const clusterRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/cluster/resources",
    params: "type",
    source: `${CLUSTER} (resources); bpg v0.111.1 proxmox/cluster/cluster_types.go`,
    handle: resources,
  },
  {
    method: "GET",
    path: "/cluster/status",
    params: "",
    source: `${CLUSTER} (get_status)`,
    handle: ({ state }) => [
      {
        id: `node/${state.node.name}`,
        type: "node",
        name: state.node.name,
        nodeid: 0,
        ip: "192.168.1.10",
        online: 1,
        local: 1,
        level: "",
      },
    ],
  },
  {
    method: "GET",
    path: "/cluster/nextid",
    params: "vmid",
    source: `${CLUSTER} (nextid)`,
    handle: ({ state, params }) => {
      const asked = params["vmid"];
      if (asked !== undefined) {
        const id = integer(params, "vmid", 0);
        if (state.guests[String(id)]) paramError({ vmid: `VM ${id} already exists` });
        return String(id);
      }
      const range = parseProperty(state.clusterOptions["next-id"] ?? "");
      const upper = Number(range["upper"] ?? 1_000_000);
      for (let id = Number(range["lower"] ?? 100); id < upper; id += 1)
        if (!state.guests[String(id)]) return String(id);
      return die("unable to get any free VMID");
    },
  },
  {
    method: "GET",
    path: "/cluster/options",
    params: "",
    source: `${CLUSTER} (get_options)`,
    handle: ({ state }) => state.clusterOptions,
  },
  {
    method: "PUT",
    path: "/cluster/options",
    params: `delete ${OPTION_NAMES}`,
    source: `${CLUSTER} (set_options)`,
    handle: ({ state, identity, params }) => {
      need(state, identity, "/", ["Sys.Modify"]);
      const { delete: remove, ...options } = params;
      for (const key of splitList(remove)) delete state.clusterOptions[key];
      Object.assign(state.clusterOptions, options);
    },
  },
  {
    method: "GET",
    path: "/cluster/tasks",
    params: "",
    source: `${CLUSTER} (tasks)`,
    handle: ({ state, identity }) =>
      state.tasks
        .filter((t) => t.user === identity.authId || allowed(state, identity, `/nodes/${state.node.name}`, "Sys.Audit"))
        .toReversed()
        .slice(0, 25)
        .map((t) => ({
          upid: t.upid,
          node: t.node,
          type: t.type,
          id: t.id,
          user: t.user,
          starttime: t.startTime,
          ...(t.endTime === undefined ? {} : { endtime: t.endTime, status: t.exitStatus ?? "OK" }),
        })),
  },
  emptyList("/cluster/backup", "pve-manager@14a22df3 PVE/API2/Backup.pm (index)"),
  emptyList("/cluster/replication", "pve-manager@14a22df3 PVE/API2/ReplicationConfig.pm (index)"),
  emptyList(
    "/cluster/ha/resources",
    "pve-ha-manager PVE/API2/HA/Resources.pm (index), read in bpg v0.111.1 proxmox/cluster/ha/resources",
    "type",
  ),
  emptyList(
    "/cluster/ha/groups",
    "pve-ha-manager PVE/API2/HA/Groups.pm (index), read in bpg v0.111.1 proxmox/cluster/ha/groups",
  ),
  emptyList(
    "/cluster/ha/rules",
    "pve-ha-manager PVE/API2/HA/Rules.pm (index), read in bpg v0.111.1 proxmox/cluster/ha/rules",
    "type resource",
  ),
  {
    method: "GET",
    path: "/cluster/ha/resources/{sid}",
    params: "",
    source: 'bpg v0.111.1 proxmox/api/client.go (validateResponseCode: "no such resource")',
    handle: ({ path }) => die(`no such resource '${path["sid"] ?? ""}'`),
  },
  emptyList("/cluster/sdn/vnets", "bpg v0.111.1 proxmox/cluster/sdn/vnets/vnets.go", "pending running"),
  emptyList("/cluster/sdn/zones", "bpg v0.111.1 proxmox/cluster/sdn/zones/zones.go", "pending running type"),
];
