/** Privileges and built-in roles of Proxmox VE 9. Source: pve-access-control src/PVE/AccessControl.pm (privgroups). */

interface Group {
  root: string[];
  admin: string[];
  user: string[];
  audit: string[];
}

const GROUPS: Record<string, Group> = {
  VM: {
    root: [],
    admin: [
      "VM.Config.Disk",
      "VM.Config.CPU",
      "VM.Config.Memory",
      "VM.Config.Network",
      "VM.Config.HWType",
      "VM.Config.Options",
      "VM.Allocate",
      "VM.Clone",
      "VM.GuestAgent.Unrestricted",
      "VM.Migrate",
      "VM.Replicate",
      "VM.Snapshot",
      "VM.Snapshot.Rollback",
    ],
    user: [
      "VM.Config.CDROM",
      "VM.Config.Cloudinit",
      "VM.Console",
      "VM.Backup",
      "VM.GuestAgent.FileRead",
      "VM.GuestAgent.FileSystemMgmt",
      "VM.GuestAgent.FileWrite",
      "VM.PowerMgmt",
    ],
    audit: ["VM.Audit", "VM.GuestAgent.Audit"],
  },
  Sys: {
    root: ["Sys.PowerMgmt", "Sys.Modify", "Sys.Incoming", "Sys.AccessNetwork"],
    admin: ["Sys.Console", "Sys.Syslog"],
    user: [],
    audit: ["Sys.Audit"],
  },
  Datastore: {
    root: [],
    admin: ["Datastore.Allocate", "Datastore.AllocateTemplate"],
    user: ["Datastore.AllocateSpace"],
    audit: ["Datastore.Audit"],
  },
  SDN: { root: [], admin: ["SDN.Allocate", "SDN.Audit"], user: ["SDN.Use"], audit: ["SDN.Audit"] },
  User: {
    root: ["Realm.Allocate"],
    admin: ["User.Modify", "Group.Allocate", "Realm.AllocateUser"],
    user: [],
    audit: [],
  },
  Pool: { root: [], admin: ["Pool.Allocate"], user: ["Pool.Audit"], audit: ["Pool.Audit"] },
  Mapping: { root: [], admin: ["Mapping.Modify"], user: ["Mapping.Use"], audit: ["Mapping.Audit"] },
};

export const ALL_PRIVILEGES: readonly string[] = [
  ...new Set([
    "Permissions.Modify",
    ...Object.values(GROUPS).flatMap((g) => [...g.root, ...g.admin, ...g.user, ...g.audit]),
  ]),
].sort();

function builtIn(): Record<string, string[]> {
  const roles: Record<string, Set<string>> = {};
  const add = (role: string, privileges: string[]): void => {
    const set = (roles[role] ??= new Set());
    for (const privilege of privileges) set.add(privilege);
  };
  for (const [name, group] of Object.entries(GROUPS)) {
    add(`PVE${name}Admin`, [...group.admin, ...group.user, ...group.audit]);
    add("PVEAdmin", [...group.admin, ...group.user, ...group.audit]);
    if (group.user.length > 0) add(`PVE${name}User`, [...group.user, ...group.audit]);
    add("PVEAuditor", group.audit);
  }
  add("PVETemplateUser", ["VM.Clone", "VM.Audit"]);
  add("Administrator", [...ALL_PRIVILEGES]);
  add("NoAccess", []);
  return Object.fromEntries(Object.entries(roles).map(([role, set]) => [role, [...set].sort()]));
}

/** Roles nobody can change. */
export const BUILT_IN_ROLES: Readonly<Record<string, string[]>> = builtIn();
