/** Users, tokens, roles, permissions, login. Source: pve-access-control src/PVE/API2/{AccessControl,User,Role,ACL,Group}.pm. */
import { die, paramError, permError } from "../core/errors.ts";
import { isTrue, splitList } from "../core/property.ts";
import { type Context, integer, type Route } from "../core/router.ts";
import type { Token, User } from "../core/state.ts";
import { isRoot, login, ROOT } from "./identity.ts";
import { allowed, need } from "./permissions.ts";
import { hashSecret } from "./secrets.ts";
import { aclRoutes } from "./acl-routes.ts";
import { permissionRoutes, roleRoutes } from "./role-routes.ts";

const API = "pve-access-control@5ccd07d src/PVE/API2";

function findUser({ state, path }: Context): User {
  const id = path["userid"] ?? "";
  return state.access.users[id] ?? die(`no such user ('${id}')`);
}

function needUserModify({ state, identity }: Context): void {
  need(state, identity, "/access/groups", ["User.Modify"]);
}

function userView(user: User, withTokens: boolean): Record<string, unknown> {
  const { passwordHash: _hash, tokens, enable, ...rest } = user;
  const out: Record<string, unknown> = { ...rest, enable: enable ? 1 : 0 };
  if (withTokens) out["tokens"] = Object.fromEntries(Object.values(tokens).map((t) => [t.tokenid, tokenView(t)]));
  return out;
}

function tokenView(token: Token): Record<string, string | number> {
  const out: Record<string, string | number> = { expire: token.expire, privsep: token.privsep ? 1 : 0 };
  if (token.comment !== undefined) out["comment"] = token.comment;
  return out;
}

function applyUser(user: User, context: Context): void {
  const { params } = context;
  if (params["enable"] !== undefined) user.enable = isTrue(params["enable"]);
  if (params["expire"] !== undefined) user.expire = integer(params, "expire", 0);
  for (const key of ["firstname", "lastname", "email", "comment", "keys"] as const) {
    const value = params[key];
    if (value !== undefined) user[key] = value;
  }
  if (params["groups"] !== undefined) {
    const groups = splitList(params["groups"]);
    user.groups = isTrue(params["append"]) ? [...new Set([...user.groups, ...groups])] : groups;
  }
}

/** A user manages its own tokens; others need User.Modify. */
function needTokenAccess(context: Context): void {
  if (context.identity.authId !== context.path["userid"]) needUserModify(context);
}

function createToken(context: Context): unknown {
  const { params, path, env, event } = context;
  needTokenAccess(context);
  const user = findUser(context);
  const id = path["tokenid"] ?? "";
  if (user.userid === ROOT && !isRoot(context.identity)) permError("");
  if (!/^[A-Za-z][A-Za-z0-9.\-_]+$/.test(id))
    paramError({ tokenid: "invalid format - value does not look like a valid token name" });
  if (user.tokens[id]) paramError({ tokenid: `Token already exists.` });
  const value = env.uuid();
  const token: Token = {
    tokenid: id,
    privsep: params["privsep"] === undefined ? true : isTrue(params["privsep"]),
    expire: integer(params, "expire", 0),
    secretHash: hashSecret(value),
    ...(params["comment"] === undefined ? {} : { comment: params["comment"] }),
  };
  user.tokens[id] = token;
  event("token-create", { token: `${user.userid}!${id}` });
  return { "full-tokenid": `${user.userid}!${id}`, info: tokenView(token), value };
}

function findToken(context: Context): Token {
  const id = context.path["tokenid"] ?? "";
  return findUser(context).tokens[id] ?? die(`no such token '${id}' for user '${context.path["userid"] ?? ""}'`);
}

const USER_FIELDS = "enable expire firstname lastname email comment keys groups";

const userRoutes: readonly Route[] = [
  {
    method: "POST",
    path: "/access/ticket",
    params: "username! password! realm otp path privs new-format tfa-challenge",
    source: `${API}/AccessControl.pm (create_ticket); bpg v0.111.1 proxmox/api/user_auth.go`,
    open: true,
    handle: ({ state, params, env }) => {
      const name = params["username"] ?? "";
      const userid = name.includes("@") ? name : `${name}@${params["realm"] ?? "pam"}`;
      const { ticket, csrf } = login(state, userid, params["password"] ?? "", env.nowMs);
      return { username: userid, ticket, CSRFPreventionToken: csrf, clustername: "pve", cap: {} };
    },
  },
  {
    method: "GET",
    path: "/access/users",
    params: "enabled full",
    source: `${API}/User.pm (index)`,
    handle: ({ state, identity }) => {
      const all =
        allowed(state, identity, "/access/groups", "User.Modify") ||
        allowed(state, identity, "/access/groups", "Sys.Audit");
      return Object.values(state.access.users)
        .filter((u) => all || u.userid === identity.userid)
        .map((u) => userView(u, false));
    },
  },
  {
    method: "POST",
    path: "/access/users",
    params: `userid! password ${USER_FIELDS}`,
    source: `${API}/User.pm (create_user)`,
    handle: (context) => {
      needUserModify(context);
      const { state, params, event } = context;
      const userid = params["userid"] ?? "";
      if (!/^[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+$/.test(userid))
        paramError({ userid: "invalid format - value does not look like a valid user name" });
      if (state.access.users[userid]) die(`create user failed: user '${userid}' already exists`);
      const user: User = { userid, enable: true, expire: 0, groups: [], tokens: {} };
      if (params["password"] !== undefined) user.passwordHash = hashSecret(params["password"]);
      applyUser(user, context);
      state.access.users[userid] = user;
      event("user-create", { userid });
    },
  },
  {
    method: "GET",
    path: "/access/users/{userid}",
    params: "",
    source: `${API}/User.pm (read_user); bpg v0.111.1 proxmox/access/users_types.go`,
    handle: (context) => {
      if (context.identity.userid !== context.path["userid"]) needUserModify(context);
      return userView(findUser(context), true);
    },
  },
  {
    method: "PUT",
    path: "/access/users/{userid}",
    params: `append ${USER_FIELDS}`,
    source: `${API}/User.pm (update_user)`,
    handle: (context) => {
      needUserModify(context);
      applyUser(findUser(context), context);
    },
  },
  {
    method: "DELETE",
    path: "/access/users/{userid}",
    params: "",
    source: `${API}/User.pm (delete_user)`,
    handle: (context) => {
      needUserModify(context);
      const { userid } = findUser(context);
      if (userid === ROOT) die("you can't delete the root user");
      delete context.state.access.users[userid];
      context.state.access.acl = context.state.access.acl.filter(
        (e) => e.ugid !== userid && !e.ugid.startsWith(`${userid}!`),
      );
    },
  },
  {
    method: "PUT",
    path: "/access/password",
    params: "userid! password! confirmation-password",
    source: `${API}/AccessControl.pm (change_password)`,
    handle: (context) => {
      const { state, identity, params } = context;
      const user = state.access.users[params["userid"] ?? ""] ?? die(`no such user ('${params["userid"] ?? ""}')`);
      if (user.userid === ROOT && !isRoot(identity)) permError("");
      if (identity.authId !== user.userid) needUserModify(context);
      user.passwordHash = hashSecret(params["password"] ?? "");
    },
  },
];

const tokenRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/access/users/{userid}/token",
    params: "",
    source: `${API}/User.pm (token_index)`,
    handle: (context) => {
      needTokenAccess(context);
      return Object.values(findUser(context).tokens).map((t) => ({ tokenid: t.tokenid, ...tokenView(t) }));
    },
  },
  {
    method: "GET",
    path: "/access/users/{userid}/token/{tokenid}",
    params: "",
    source: `${API}/User.pm (read_token)`,
    handle: (context) => {
      needTokenAccess(context);
      return tokenView(findToken(context));
    },
  },
  {
    method: "POST",
    path: "/access/users/{userid}/token/{tokenid}",
    params: "comment expire privsep",
    source: `${API}/User.pm (generate_token); bpg v0.111.1 proxmox/access/user_token_types.go`,
    handle: createToken,
  },
  {
    method: "PUT",
    path: "/access/users/{userid}/token/{tokenid}",
    params: "comment expire privsep regenerate delete",
    source: `${API}/User.pm (update_token_info)`,
    handle: (context) => {
      needTokenAccess(context);
      const token = findToken(context);
      const { params } = context;
      if (params["comment"] !== undefined) token.comment = params["comment"];
      if (params["privsep"] !== undefined) token.privsep = isTrue(params["privsep"]);
      token.expire = integer(params, "expire", token.expire);
      return tokenView(token);
    },
  },
  {
    method: "DELETE",
    path: "/access/users/{userid}/token/{tokenid}",
    params: "",
    source: `${API}/User.pm (remove_token)`,
    handle: (context) => {
      needTokenAccess(context);
      const token = findToken(context);
      const user = findUser(context);
      delete user.tokens[token.tokenid];
      const authId = `${user.userid}!${token.tokenid}`;
      context.state.access.acl = context.state.access.acl.filter((e) => e.ugid !== authId);
    },
  },
];

export const accessRoutes: readonly Route[] = [
  ...userRoutes,
  ...tokenRoutes,
  ...roleRoutes,
  ...permissionRoutes,
  ...aclRoutes,
];
