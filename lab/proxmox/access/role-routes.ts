/** Roles, and what an identity may do. Source: pve-access-control src/PVE/API2/{Role,AccessControl}.pm. */
import { die, paramError, unauthorized } from "../core/errors.ts";
import { isTrue, splitList } from "../core/property.ts";
import type { Route } from "../core/router.ts";
import { need, permissions } from "./permissions.ts";
import { ALL_PRIVILEGES, BUILT_IN_ROLES } from "./privileges.ts";

const API = "pve-access-control@5ccd07d src/PVE/API2";

function roleView(privileges: readonly string[]): Record<string, number> {
  return Object.fromEntries(privileges.map((p) => [p, 1]));
}

function checkPrivileges(list: readonly string[]): void {
  const bad = list.find((p) => !ALL_PRIVILEGES.includes(p));
  if (bad !== undefined) paramError({ privs: `invalid format - invalid privilege '${bad}'` });
}

export const roleRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/access/roles",
    params: "",
    source: `${API}/Role.pm (index)`,
    handle: ({ state }) => [
      ...Object.entries(BUILT_IN_ROLES).map(([roleid, privs]) => ({ roleid, privs: privs.join(","), special: 1 })),
      ...Object.entries(state.access.roles).map(([roleid, privs]) => ({ roleid, privs: privs.join(","), special: 0 })),
    ],
  },
  {
    method: "GET",
    path: "/access/roles/{roleid}",
    params: "",
    source: `${API}/Role.pm (read_role)`,
    handle: ({ state, path }) => {
      const id = path["roleid"] ?? "";
      return roleView(BUILT_IN_ROLES[id] ?? state.access.roles[id] ?? die(`role '${id}' does not exist`));
    },
  },
  {
    method: "POST",
    path: "/access/roles",
    params: "roleid! privs",
    source: `${API}/Role.pm (create_role)`,
    handle: ({ state, identity, params }) => {
      need(state, identity, "/access", ["Sys.Modify"]);
      const id = params["roleid"] ?? "";
      if (BUILT_IN_ROLES[id] ?? state.access.roles[id]) die(`create role failed: role '${id}' already exists`);
      const list = splitList(params["privs"]);
      checkPrivileges(list);
      state.access.roles[id] = list;
    },
  },
  {
    method: "PUT",
    path: "/access/roles/{roleid}",
    params: "privs append",
    source: `${API}/Role.pm (update_role)`,
    handle: ({ state, identity, params, path }) => {
      need(state, identity, "/access", ["Sys.Modify"]);
      const id = path["roleid"] ?? "";
      if (BUILT_IN_ROLES[id]) die(`auto-generated role '${id}' cannot be modified`);
      const before = state.access.roles[id] ?? die(`role '${id}' does not exist`);
      const list = splitList(params["privs"]);
      checkPrivileges(list);
      state.access.roles[id] = isTrue(params["append"]) ? [...new Set([...before, ...list])] : list;
    },
  },
  {
    method: "DELETE",
    path: "/access/roles/{roleid}",
    params: "",
    source: `${API}/Role.pm (delete_role)`,
    handle: ({ state, identity, path }) => {
      need(state, identity, "/access", ["Sys.Modify"]);
      const id = path["roleid"] ?? "";
      if (BUILT_IN_ROLES[id]) die(`auto-generated role '${id}' cannot be deleted`);
      if (!state.access.roles[id]) die(`role '${id}' does not exist`);
      delete state.access.roles[id];
      state.access.acl = state.access.acl.filter((e) => e.roleid !== id);
    },
  },
];

export const permissionRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/access/permissions",
    params: "userid path",
    source: `${API}/AccessControl.pm (permissions)`,
    handle: (context) => {
      const { state, identity, params } = context;
      const userid = params["userid"];
      if (userid !== undefined && userid !== identity.authId) need(state, identity, "/access", ["Sys.Audit"]);
      const [user = "", token] = (userid ?? identity.authId).split("!");
      if (state.access.users[user] === undefined) unauthorized(`no such user ('${user}')`);
      const who = { authId: userid ?? identity.authId, userid: user, token, via: identity.via };
      const standard = ["/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms", "/mapping"];
      const pooled = Object.values(state.pools).flatMap(({ vms, storage }) => [
        ...vms.map((vmid) => `/vms/${vmid}`),
        ...storage.map((id) => `/storage/${id}`),
      ]);
      const paths =
        params["path"] === undefined
          ? new Set([...standard, ...state.access.acl.map((e) => e.path), ...pooled])
          : [params["path"]];
      return Object.fromEntries(
        [...paths]
          .map((p) => [p, roleView([...permissions(state, who, p)].sort())] as const)
          .filter(([, v]) => Object.keys(v).length > 0),
      );
    },
  },
];
