/**
 * The rights of the reaper's credentials: to delete a throwaway server, and nothing else. As data, for the
 * documentation, the tests that hold the lab to them, and whoever makes the credentials.
 */
import { tagKeys } from "./tags.ts";

/**
 * Pool of Proxmox VE that throwaway servers are made in, and that the reaper's token is limited to. Proxmox binds no right
 * to a tag: two estates on one host tell their guests apart by their tags, or each have a pool of their own.
 */
export const throwawayPool = "hive-throwaway";

/**
 * Privileges of the role `HiveReaper`, given on {@link throwawayPool} alone and so on its members: to see the pool and
 * its guests, to end them and to delete them. Source: the permissions of each call in Proxmox VE 9's API viewer
 * (read_pool; vm_config, vm_stop and destroy_vm of qemu and lxc). Who starts a task may read it without any. Proxmox has
 * nothing smaller than VM.Allocate to delete with: it would also let the token make an empty guest in that pool.
 */
export const reaperPrivileges: readonly string[] = ["Pool.Audit", "VM.Allocate", "VM.Audit", "VM.PowerMgmt"];

/** Makes the pool and the reaper's token, as root on the Proxmox host; the last one shows the token, once. */
export const reaperTokenCommands: readonly string[] = [
  `pvesh create /pools --poolid ${throwawayPool}`,
  `pveum role add HiveReaper --privs "${reaperPrivileges.join(" ")}"`,
  "pveum user add reaper@pve",
  `pveum acl modify /pool/${throwawayPool} --users reaper@pve --roles HiveReaper`,
  "pveum user token add reaper@pve sentinel --privsep 0",
];

/** The part of an IAM policy that the reaper has. */
export interface ReaperPolicy {
  readonly Version: "2012-10-17";
  readonly Statement: readonly {
    readonly Sid: string;
    readonly Effect: "Allow";
    readonly Action: readonly string[];
    readonly Resource: "*";
    readonly Condition?: { readonly StringEquals: Readonly<Record<string, string>> };
  }[];
}

/**
 * IAM policy of the AWS user of an estate's reaper. `GetInstances` knows no resources; deleting is bound to our tags, all
 * of them at once ("Control Lightsail resource access with tags" in the Lightsail user guide), and nothing here lets the
 * user set a tag.
 */
export function reaperPolicy(estate: string): ReaperPolicy {
  const wanted = { [tagKeys.throwaway]: "true", [tagKeys.estate]: estate };
  const StringEquals = Object.fromEntries(
    Object.entries(wanted).map(([key, value]) => [`aws:ResourceTag/${key}`, value]),
  );
  return {
    Version: "2012-10-17",
    Statement: [
      { Sid: "See", Effect: "Allow", Action: ["lightsail:GetInstance", "lightsail:GetInstances"], Resource: "*" },
      {
        Sid: "DeleteThrowaway",
        Effect: "Allow",
        Action: ["lightsail:DeleteInstance"],
        Resource: "*",
        Condition: { StringEquals },
      },
    ],
  };
}
