/**
 * The rights of the reaper's credentials: to delete a throwaway server, and nothing else. As data, for the
 * documentation, the tests that hold the lab to them, and whoever makes the credentials.
 */
import { tagKeys } from "./tags.ts";

/** Pool of Proxmox VE that throwaway servers are made in, and that the reaper's token is limited to. */
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

/**
 * IAM policy of the reaper's AWS user. `GetInstances` knows no resources; deleting is bound to our tag ("Control
 * Lightsail resource access with tags" in the Lightsail user guide), and nothing here lets the user set a tag.
 */
export const reaperPolicy = {
  Version: "2012-10-17",
  Statement: [
    { Sid: "See", Effect: "Allow", Action: ["lightsail:GetInstance", "lightsail:GetInstances"], Resource: "*" },
    {
      Sid: "DeleteThrowaway",
      Effect: "Allow",
      Action: ["lightsail:DeleteInstance"],
      Resource: "*",
      Condition: { StringEquals: { [`aws:ResourceTag/${tagKeys.throwaway}`]: "true" } },
    },
  ],
} as const;
