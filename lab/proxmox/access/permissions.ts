/**
 * Who may do what. A token with privilege separation has what both it and its user have; root@pam has everything;
 * a token of root@pam is not root@pam.
 *
 * Source: pve-access-control src/PVE/AccessControl.pm (roles), src/PVE/RPCEnvironment.pm (permissions, check, check_any,
 * check_vm_perm, check_sdn_bridge).
 */
import { permError } from "../core/errors.ts";
import type { LabState } from "../core/state.ts";
import { type Identity, ROOT } from "./identity.ts";
import { ALL_PRIVILEGES, BUILT_IN_ROLES } from "./privileges.ts";

const ALL: ReadonlySet<string> = new Set(ALL_PRIVILEGES);

/** The roles of a user or token on a path: the deepest level that speaks wins, and it replaces the levels above. */
function rolesOn(state: LabState, authId: string, groups: readonly string[], path: string): Set<string> {
  const parts = path.split("/").filter((part) => part !== "");
  let current = new Set<string>();
  for (let depth = 0; depth <= parts.length; depth += 1) {
    const level = `/${parts.slice(0, depth).join("/")}`;
    const here = state.access.acl.filter(
      (entry) => entry.path === level && (entry.propagate || depth === parts.length),
    );
    const own = here.filter((e) => e.type !== "group" && e.ugid === authId);
    const ofGroups = here.filter((e) => e.type === "group" && groups.includes(e.ugid));
    const speaking = own.length > 0 ? own : ofGroups;
    if (speaking.length > 0) current = new Set(speaking.map((entry) => entry.roleid));
  }
  return current.has("NoAccess") ? new Set() : current;
}

function privilegesOf(state: LabState, authId: string, groups: readonly string[], path: string): Set<string> {
  const out = new Set<string>();
  const add = (roles: Set<string>): void => {
    for (const role of roles) {
      for (const privilege of BUILT_IN_ROLES[role] ?? state.access.roles[role] ?? []) out.add(privilege);
    }
  };
  add(rolesOn(state, authId, groups, path));
  // A pool's privileges extend to its members.
  for (const pool of Object.values(state.pools)) {
    const isMember =
      pool.vms.some((vmid) => path === `/vms/${vmid}`) || pool.storage.some((id) => path === `/storage/${id}`);
    if (isMember) add(rolesOn(state, authId, groups, `/pool/${pool.poolid}`));
  }
  return out;
}

export function permissions(state: LabState, identity: Identity, path: string): ReadonlySet<string> {
  if (identity.authId === ROOT) return ALL;
  const user = state.access.users[identity.userid];
  if (!user) return new Set();
  const ofUser = identity.userid === ROOT ? ALL : privilegesOf(state, identity.userid, user.groups, path);
  if (identity.token === undefined) return ofUser;
  const token = user.tokens[identity.token];
  if (!token) return new Set();
  if (!token.privsep) return ofUser;
  const ofToken = privilegesOf(state, identity.authId, [], path);
  return new Set([...ofToken].filter((privilege) => ofUser.has(privilege)));
}

export function allowed(state: LabState, identity: Identity, path: string, privilege: string): boolean {
  return permissions(state, identity, path).has(privilege);
}

/** Every privilege is needed; the first one missing is named. */
export function need(state: LabState, identity: Identity, path: string, privileges: readonly string[]): void {
  const has = permissions(state, identity, path);
  for (const privilege of privileges) {
    if (!has.has(privilege)) permError(`${path}, ${privilege}`);
  }
}

export function needAny(state: LabState, identity: Identity, path: string, privileges: readonly string[]): void {
  const has = permissions(state, identity, path);
  if (!privileges.some((privilege) => has.has(privilege))) permError(`${path}, ${privileges.join("|")}`);
}

/** A guest's privileges may also come from the pool it is created in. */
export function needGuest(
  state: LabState,
  identity: Identity,
  vmid: number,
  pool: string | undefined,
  privileges: readonly string[],
  any = false,
): void {
  if (pool !== undefined) {
    const has = permissions(state, identity, `/pool/${pool}`);
    if (any ? privileges.some((p) => has.has(p)) : privileges.every((p) => has.has(p))) return;
  }
  if (any) needAny(state, identity, `/vms/${vmid}`, privileges);
  else need(state, identity, `/vms/${vmid}`, privileges);
}

/** Using a bridge needs SDN.Use on it in the zone of plain Linux bridges, `localnetwork`. */
export function needBridge(state: LabState, identity: Identity, bridge: string, tag?: string): void {
  if (identity.authId === ROOT) return;
  const path = `/sdn/zones/localnetwork/${bridge}`;
  if (permissions(state, identity, path).has("SDN.Use")) return;
  if (tag !== undefined && permissions(state, identity, `${path}/${tag}`).has("SDN.Use")) return;
  permError(`${path}, SDN.Use`);
}
