import type { Fault } from "../../components/shared/faults.ts";
import { hivePrivileges } from "../../components/shared/privileges.ts";

interface NeededPrivileges {
  readonly path: string;
  readonly privileges: readonly string[];
  readonly why: string;
}

/** What the token must be allowed to do, by path. Source: the `permissions` of each call in Proxmox VE's API viewer. */
export function neededPrivileges(settings: {
  readonly storages: readonly string[];
  readonly nodeName: string;
  readonly devices: boolean;
}): readonly NeededPrivileges[] {
  return [
    {
      path: "/",
      privileges: ["Sys.Audit", "Sys.Console", "Sys.Modify"],
      why: "security groups, the cluster's firewall and the guests' start order are changed, and the provider gives guests a drive cdrom",
    },
    {
      path: "/vms",
      privileges: hivePrivileges.filter((privilege) => privilege.startsWith("VM.")),
      why: "guests are created, changed and started, and their agents asked for addresses",
    },
    { path: "/storage", privileges: ["Datastore.Allocate"], why: "a storage is created" },
    ...settings.storages.map((id) => ({
      path: `/storage/${id}`,
      privileges: ["Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit"],
      why: "disks, images and snippets are stored",
    })),
    {
      path: `/nodes/${settings.nodeName}`,
      privileges: ["Sys.AccessNetwork", "Sys.Audit", "Sys.Modify"],
      why: "bridges and the host's firewall are changed, and images downloaded",
    },
    { path: "/sdn/zones/localnetwork", privileges: ["SDN.Use"], why: "network cards are put on bridges" },
    ...(settings.devices
      ? [
          {
            path: "/mapping",
            privileges: ["Mapping.Modify", "Mapping.Use"],
            why: "devices are mapped and passed to guests",
          },
        ]
      : []),
  ];
}

/** Privileges at a path: those of the longest path above it that is listed (Proxmox lists them inherited). */
export function privilegesAt(
  permissions: Readonly<Record<string, readonly string[]>>,
  path: string,
): ReadonlySet<string> {
  const parts = path.split("/").filter((part) => part !== "");
  for (let length = parts.length; length >= 0; length -= 1) {
    const found = permissions[`/${parts.slice(0, length).join("/")}`];
    if (found !== undefined) return new Set(found);
  }
  return new Set();
}

/** A fault for each path where the token lacks something, with the commands that give it. */
export function judgePrivileges(
  permissions: Readonly<Record<string, readonly string[]>>,
  tokenId: string,
  needed: readonly NeededPrivileges[],
): Fault[] {
  const root = privilegesAt(permissions, "/");
  // Proxmox lets a download by URL pass with either.
  const mayDownload = ["Sys.Audit", "Sys.Modify"].every((privilege) => root.has(privilege));
  const [user = tokenId] = tokenId.split("!");
  return needed.flatMap(({ path, privileges, why }) => {
    const held = privilegesAt(permissions, path);
    const missing = privileges.filter(
      (privilege) => !held.has(privilege) && !(privilege === "Sys.AccessNetwork" && mayDownload),
    );
    if (missing.length === 0) return [];
    return [
      {
        property: `privileges of ${tokenId} on ${path}`,
        value: `without ${missing.join(", ")}`,
        limit: `${privileges.join(", ")}, because ${why}`,
        fix: `On the host: pveum role modify Hive --append --privs "${missing.join(" ")}" && pveum acl modify ${path} --users '${user}' --roles Hive && pveum acl modify ${path} --tokens '${tokenId}' --roles Hive`,
      },
    ];
  });
}
