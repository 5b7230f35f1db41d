/** Storage definitions, status and content. Sources: pve-storage src/PVE/API2/Storage/{Config,Status,Content}.pm. */
import { allowed, need, needAny } from "../access/permissions.ts";
import { die, paramError } from "../core/errors.ts";
import { isTrue, splitList } from "../core/property.ts";
import type { Context, Route } from "../core/router.ts";
import type { StorageConfig } from "../core/state.ts";
import { space, storageConfig } from "../guests/volumes.ts";
import { contentRoutes } from "./content-routes.ts";

const CONFIG = "pve-storage@0c56bad src/PVE/API2/Storage/Config.pm";
const STATUS = "pve-storage@0c56bad src/PVE/API2/Storage/Status.pm";

export const STORAGE_OPTIONS = `content nodes disable shared path pool sparse blocksize is_mountpoint mkdir
  create-base-path create-subdirs preallocation prune-backups max-protected-backups server export share username
  password domain subdir options datastore namespace fingerprint encryption-key vgname thinpool saferemove mountpoint
  bwlimit format snapshot-as-volume-chain`;

const REQUIRED: Record<string, readonly string[]> = {
  dir: ["path"],
  zfspool: ["pool"],
  nfs: ["server", "export"],
  cifs: ["server", "share"],
  lvm: ["vgname"],
  lvmthin: ["vgname", "thinpool"],
  pbs: ["server", "datastore", "username"],
};
const FIXED = ["path", "pool", "server", "export", "share", "vgname", "thinpool", "datastore"];
const DEFAULT_CONTENT: Record<string, string> = {
  dir: "images,rootdir,vztmpl,iso,backup,snippets",
  zfspool: "images,rootdir",
};

function view(storage: StorageConfig): Record<string, string | number> {
  const out: Record<string, string | number> = { storage: storage.storage, type: storage.type };
  for (const [key, value] of Object.entries(storage.options)) {
    if (key === "password" || key === "encryption-key") continue;
    out[key] = /^(disable|shared|sparse|mkdir|create-.*|saferemove|snapshot-as.*|max-protected.*)$/.test(key)
      ? Number(value)
      : value;
  }
  return out;
}

function visible({ state, identity }: Context, storage: string): boolean {
  return ["Datastore.Audit", "Datastore.AllocateSpace"].some((p) => allowed(state, identity, `/storage/${storage}`, p));
}

function create(context: Context): unknown {
  const { state, identity, params } = context;
  need(state, identity, "/storage", ["Datastore.Allocate"]);
  const { storage = "", type = "", ...options } = params;
  if (!/^[A-Za-z][A-Za-z0-9\-_.]*[A-Za-z0-9]$/.test(storage)) {
    paramError({ storage: `invalid format - storage ID '${storage}' contains illegal characters` });
  }
  const required = REQUIRED[type];
  if (!required) paramError({ type: `value '${type}' does not have a value in the enumeration` });
  const missing = required.filter((key) => options[key] === undefined);
  if (missing.length > 0) {
    paramError(Object.fromEntries(missing.map((key) => [key, "missing value for required option"])));
  }
  if (state.storages[storage]) die(`storage ID '${storage}' already defined`);
  if (type === "zfspool") {
    const pool = (options["pool"] ?? "").split("/")[0];
    if (![...state.node.zpools, ...context.env.shellPools()].some((z) => z.name === pool)) {
      die(`create storage failed: zfs error: cannot open '${options["pool"] ?? ""}': no such pool`);
    }
  }
  options["content"] ??= DEFAULT_CONTENT[type] ?? "images";
  state.storages[storage] = { storage, type, options };
  context.event("storage-create", { storage });
  return { storage, type };
}

function update({ state, identity, params, path, event }: Context): unknown {
  const id = path["storage"] ?? "";
  need(state, identity, `/storage`, ["Datastore.Allocate"]);
  const storage = storageConfig(state, id);
  const { delete: remove, digest: _digest, ...options } = params;
  for (const key of splitList(remove)) {
    if (FIXED.includes(key)) die(`unable to delete fixed option '${key}'`);
    if (options[key] !== undefined) die(`cannot set and delete property '${key}' at the same time!`);
    delete storage.options[key];
  }
  const fixed = Object.keys(options).filter((key) => FIXED.includes(key) && options[key] !== storage.options[key]);
  if (fixed.length > 0)
    paramError(Object.fromEntries(fixed.map((key) => [key, "can't change value of fixed parameter"])));
  Object.assign(storage.options, options);
  event("storage-update", { storage: id });
  return { storage: id, type: storage.type };
}

function statusOf(context: Context, storage: StorageConfig): Record<string, string | number> {
  const use = space(context.state, storage);
  const enabled = storage.options["disable"] === "1" ? 0 : 1;
  return {
    type: storage.type,
    content: storage.options["content"] ?? "",
    enabled,
    active: enabled,
    shared: Number(storage.options["shared"] ?? 0),
    total: use.total,
    used: use.used,
    avail: use.avail,
  };
}

function nodeList(context: Context): unknown {
  const { state, params } = context;
  const contents = splitList(params["content"]);
  return Object.values(state.storages)
    .filter((s) => visible(context, s.storage))
    .filter((s) => params["storage"] === undefined || s.storage === params["storage"])
    .filter((s) => contents.length === 0 || contents.some((c) => splitList(s.options["content"]).includes(c)))
    .filter((s) => !isTrue(params["enabled"]) || s.options["disable"] !== "1")
    .map((s) => {
      const row = statusOf(context, s);
      const total = Number(row["total"]);
      return { storage: s.storage, ...row, used_fraction: total === 0 ? 0 : Number(row["used"]) / total };
    });
}

export const storageRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/storage",
    params: "type",
    source: `${CONFIG} (index); bpg v0.111.1 proxmox/storage/storage_types.go`,
    handle: (context) =>
      Object.values(context.state.storages)
        .filter((s) => visible(context, s.storage))
        .filter((s) => context.params["type"] === undefined || s.type === context.params["type"])
        .map(view),
  },
  {
    method: "POST",
    path: "/storage",
    params: `storage! type! ${STORAGE_OPTIONS}`,
    source: `${CONFIG} (create)`,
    handle: create,
  },
  {
    method: "GET",
    path: "/storage/{storage}",
    params: "",
    source: `${CONFIG} (read)`,
    handle: ({ state, identity, path }) => {
      const id = path["storage"] ?? "";
      need(state, identity, `/storage/${id}`, ["Datastore.Allocate"]);
      return view(storageConfig(state, id));
    },
  },
  {
    method: "PUT",
    path: "/storage/{storage}",
    params: `delete digest ${STORAGE_OPTIONS}`,
    source: `${CONFIG} (update)`,
    handle: update,
  },
  {
    method: "DELETE",
    path: "/storage/{storage}",
    params: "",
    source: `${CONFIG} (delete)`,
    handle: ({ state, identity, path, event }) => {
      const id = path["storage"] ?? "";
      need(state, identity, "/storage", ["Datastore.Allocate"]);
      storageConfig(state, id);
      // Only the definition goes: the data stays and shows again when the storage is defined again.
      delete state.storages[id];
      event("storage-delete", { storage: id });
    },
  },
  {
    method: "GET",
    path: "/nodes/{node}/storage",
    params: "content enabled format storage target",
    source: `${STATUS} (index); bpg v0.111.1 proxmox/nodes/storage/storage_types.go`,
    handle: nodeList,
  },
  {
    method: "GET",
    path: "/nodes/{node}/storage/{storage}/status",
    params: "",
    source: `${STATUS} (read_status)`,
    handle: (context) => {
      const id = context.path["storage"] ?? "";
      needAny(context.state, context.identity, `/storage/${id}`, ["Datastore.Audit", "Datastore.AllocateSpace"]);
      const storage = context.state.storages[id] ?? paramError({ storage: "No such storage." });
      return statusOf(context, storage);
    },
  },
  ...contentRoutes,
];
