/** Access control entries and groups. Source: pve-access-control src/PVE/API2/{ACL,Group,Domains}.pm. */
import { die, paramError, permError } from "../core/errors.ts";
import { isTrue, splitList } from "../core/property.ts";
import type { Context, Route } from "../core/router.ts";
import type { AclEntry } from "../core/state.ts";
import { allowed, need, permissions } from "./permissions.ts";
import { BUILT_IN_ROLES } from "./privileges.ts";

const API = "pve-access-control@5ccd07d src/PVE/API2";

const PATH =
  /^\/$|^\/(access|access\/groups(\/[^/]+)?|access\/realm(\/[^/]+)?|nodes(\/[^/]+)?|pool(\/.+)?|sdn(\/zones(\/[^/]+){0,3})?|storage(\/[^/]+)?|vms(\/\d+)?|mapping(\/(pci|usb|dir)(\/[^/]+)?|\/hwrng)?)$/;

/** Whoever lacks Permissions.Modify may hand on, on guests, storages and pools they may allocate, what they hold there. */
function needModify(context: Context, path: string, roles: readonly string[]): void {
  const { state, identity } = context;
  const mine = permissions(state, identity, path);
  if (mine.has("Permissions.Modify")) return;
  const allocate = path.startsWith("/vms")
    ? "VM.Allocate"
    : path.startsWith("/storage")
      ? "Datastore.Allocate"
      : path.startsWith("/pool")
        ? "Pool.Allocate"
        : "";
  if (!mine.has(allocate)) permError(`${path}, Permissions.Modify`);
  const wanted = roles.flatMap((role) => BUILT_IN_ROLES[role] ?? state.access.roles[role] ?? []);
  const beyond = wanted.find((privilege) => !mine.has(privilege));
  if (beyond !== undefined) permError(`${path}, ${beyond}`);
}

function update(context: Context): null {
  const { state, params, event } = context;
  const path = (params["path"] ?? "").replace(/\/+$/, "") || "/";
  const roles = splitList(params["roles"]);
  if (!PATH.test(path)) paramError({ path: `invalid ACL path '${params["path"] ?? ""}'` });
  needModify(context, path, roles);
  for (const role of roles) {
    if (BUILT_IN_ROLES[role] === undefined && state.access.roles[role] === undefined)
      die(`role '${role}' does not exist`);
  }
  const who: (readonly [AclEntry["type"], string])[] = [
    ...splitList(params["users"]).map((id) => ["user", id] as const),
    ...splitList(params["groups"]).map((id) => ["group", id] as const),
    ...splitList(params["tokens"]).map((id) => ["token", id] as const),
  ];
  for (const [type, ugid] of who) checkExists(context, type, ugid);
  const remove = isTrue(params["delete"]);
  const propagate = params["propagate"] === undefined ? true : isTrue(params["propagate"]);
  for (const [type, ugid] of who) {
    for (const roleid of roles) {
      state.access.acl = state.access.acl.filter(
        (e) => !(e.path === path && e.type === type && e.ugid === ugid && e.roleid === roleid),
      );
      if (!remove) state.access.acl.push({ path, type, ugid, roleid, propagate });
    }
  }
  event("acl", { path, roles: roles.join(","), remove: remove ? 1 : 0 });
  return null;
}

function checkExists({ state }: Context, type: AclEntry["type"], ugid: string): void {
  const [userid = "", token] = ugid.split("!");
  if (type === "group" && !state.access.groups[ugid]) die(`group '${ugid}' does not exist`);
  if (type === "user" && !state.access.users[ugid]) die(`no such user ('${ugid}')`);
  if (type === "token" && !state.access.users[userid]?.tokens[token ?? ""])
    die(`no such token '${token ?? ""}' for user '${userid}'`);
}

export const aclRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/access/acl",
    params: "",
    source: `${API}/ACL.pm (read_acl); bpg v0.111.1 proxmox/access/acl_types.go`,
    handle: ({ state, identity }) =>
      state.access.acl
        .filter(
          (e) =>
            allowed(state, identity, "/access", "Sys.Audit") || allowed(state, identity, e.path, "Permissions.Modify"),
        )
        .map((e) => ({ path: e.path, type: e.type, ugid: e.ugid, roleid: e.roleid, propagate: e.propagate ? 1 : 0 })),
  },
  {
    method: "PUT",
    path: "/access/acl",
    params: "path! roles! users groups tokens propagate delete",
    source: `${API}/ACL.pm (update_acl)`,
    handle: update,
  },
  {
    method: "GET",
    path: "/access/domains",
    params: "",
    source: `${API}/Domains.pm (index)`,
    handle: () => [
      { realm: "pam", type: "pam", comment: "Linux PAM standard authentication" },
      { realm: "pve", type: "pve", comment: "Proxmox VE authentication server" },
    ],
  },
  {
    method: "GET",
    path: "/access/groups",
    params: "",
    source: `${API}/Group.pm (index)`,
    handle: ({ state }) => Object.entries(state.access.groups).map(([groupid, g]) => ({ groupid, ...g })),
  },
  {
    method: "POST",
    path: "/access/groups",
    params: "groupid! comment",
    source: `${API}/Group.pm (create_group)`,
    handle: ({ state, identity, params }) => {
      need(state, identity, "/access/groups", ["Group.Allocate"]);
      const id = params["groupid"] ?? "";
      if (state.access.groups[id]) die(`group '${id}' already exists`);
      state.access.groups[id] = params["comment"] === undefined ? {} : { comment: params["comment"] };
    },
  },
  {
    method: "DELETE",
    path: "/access/groups/{groupid}",
    params: "",
    source: `${API}/Group.pm (delete_group)`,
    handle: ({ state, identity, path }) => {
      need(state, identity, "/access/groups", ["Group.Allocate"]);
      const id = path["groupid"] ?? "";
      if (!state.access.groups[id]) die(`group '${id}' does not exist`);
      delete state.access.groups[id];
      for (const user of Object.values(state.access.users)) user.groups = user.groups.filter((g) => g !== id);
    },
  },
];
