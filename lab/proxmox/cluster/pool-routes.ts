/** Pools. Source: pve-manager PVE/API2/Pool.pm. */
import { allowed, need } from "../access/permissions.ts";
import { die } from "../core/errors.ts";
import { isTrue, splitList } from "../core/property.ts";
import type { Context, Route } from "../core/router.ts";
import type { Pool } from "../core/state.ts";
import { guestStatus } from "../guests/status.ts";

const API = "pve-manager@14a22df3 PVE/API2/Pool.pm";

function view({ state, env }: Context, pool: Pool): Record<string, unknown> {
  const members: Record<string, unknown>[] = pool.vms.flatMap((vmid) => {
    const guest = state.guests[String(vmid)];
    if (!guest) return [];
    return [
      {
        ...guestStatus(state, guest, env.nowMs),
        id: `${guest.kind}/${vmid}`,
        type: guest.kind,
        node: state.node.name,
        vmid,
      },
    ];
  });
  for (const id of pool.storage) {
    if (state.storages[id])
      members.push({ id: `storage/${state.node.name}/${id}`, type: "storage", storage: id, node: state.node.name });
  }
  return { poolid: pool.poolid, ...(pool.comment === undefined ? {} : { comment: pool.comment }), members };
}

function update(context: Context, id: string): null {
  const { state, identity, params } = context;
  need(state, identity, `/pool/${id}`, ["Pool.Allocate"]);
  const pool = state.pools[id] ?? die(`pool '${id}' does not exist`);
  if (params["comment"] !== undefined) pool.comment = params["comment"];
  const remove = isTrue(params["delete"]);
  for (const text of splitList(params["vms"])) {
    const vmid = Number(text);
    need(state, identity, `/vms/${vmid}`, ["Permissions.Modify"]);
    const inPool = pool.vms.includes(vmid);
    if (remove && !inPool) die(`VM ${vmid} is not a pool member`);
    if (!remove && inPool) die(`VM ${vmid} is already a pool member`);
    if (remove) pool.vms = pool.vms.filter((v) => v !== vmid);
    else pool.vms.push(vmid);
  }
  for (const storage of splitList(params["storage"])) {
    need(state, identity, `/storage/${storage}`, ["Permissions.Modify"]);
    if (remove) pool.storage = pool.storage.filter((s) => s !== storage);
    else if (!pool.storage.includes(storage)) pool.storage.push(storage);
  }
  return null;
}

function remove({ state, identity }: Context, id: string): null {
  need(state, identity, `/pool/${id}`, ["Pool.Allocate"]);
  const pool = state.pools[id] ?? die(`pool '${id}' does not exist`);
  const [vmid] = pool.vms;
  if (vmid !== undefined) die(`pool '${id}' is not empty (contains VM ${vmid})`);
  const [storage] = pool.storage;
  if (storage !== undefined) die(`pool '${id}' is not empty (contains storage '${storage}')`);
  delete state.pools[id];
  return null;
}

export const poolRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/pools",
    params: "poolid type",
    source: `${API} (index); bpg v0.111.1 proxmox/pools/pool_types.go`,
    handle: (context) => {
      const { state, identity, params } = context;
      const id = params["poolid"];
      if (id !== undefined) {
        need(state, identity, `/pool/${id}`, ["Pool.Audit"]);
        return [view(context, state.pools[id] ?? die(`pool '${id}' does not exist`))];
      }
      return Object.values(state.pools)
        .filter((p) => allowed(state, identity, `/pool/${p.poolid}`, "Pool.Audit"))
        .map((p) => ({ poolid: p.poolid, ...(p.comment === undefined ? {} : { comment: p.comment }) }));
    },
  },
  {
    method: "POST",
    path: "/pools",
    params: "poolid! comment",
    source: `${API} (create_pool)`,
    handle: ({ state, identity, params }) => {
      const id = params["poolid"] ?? "";
      need(state, identity, `/pool/${id}`, ["Pool.Allocate"]);
      if (state.pools[id]) die(`create pool failed: pool '${id}' already exists`);
      state.pools[id] = {
        poolid: id,
        vms: [],
        storage: [],
        ...(params["comment"] === undefined ? {} : { comment: params["comment"] }),
      };
    },
  },
  {
    method: "PUT",
    path: "/pools",
    params: "poolid! comment vms storage delete allow-move",
    source: `${API} (update_pool)`,
    handle: (c) => update(c, c.params["poolid"] ?? ""),
  },
  {
    method: "DELETE",
    path: "/pools",
    params: "poolid!",
    source: `${API} (delete_pool)`,
    handle: (c) => remove(c, c.params["poolid"] ?? ""),
  },
  {
    method: "GET",
    path: "/pools/{poolid}",
    params: "type",
    source: `${API} (read_pool)`,
    handle: (context) => {
      const { state, identity, path } = context;
      const id = path["poolid"] ?? "";
      need(state, identity, `/pool/${id}`, ["Pool.Audit"]);
      return view(context, state.pools[id] ?? die(`pool '${id}' does not exist`));
    },
  },
  {
    method: "PUT",
    path: "/pools/{poolid}",
    params: "comment vms storage delete allow-move",
    source: `${API} (update_pool_deprecated)`,
    handle: (c) => update(c, c.path["poolid"] ?? ""),
  },
  {
    method: "DELETE",
    path: "/pools/{poolid}",
    params: "",
    source: `${API} (delete_pool_deprecated)`,
    handle: (c) => remove(c, c.path["poolid"] ?? ""),
  },
];
