/**
 * Privileges of the role `Hive`: what the API token of stack genesis needs, and nothing else. Source: the permissions of
 * each call in Proxmox VE 9's API viewer. Sys.Audit and Sys.Modify serve bridges, firewalls, security groups and start
 * order; Sys.AccessNetwork downloads by URL; SDN.Use network cards on bridges; Sys.Console the empty drive `cdrom` that the
 * provider gives every guest (check_storage_access in qemu-server's API2/Qemu.pm).
 */
export const hivePrivileges: readonly string[] = [
  "Datastore.Allocate",
  "Datastore.AllocateSpace",
  "Datastore.AllocateTemplate",
  "Datastore.Audit",
  "Mapping.Audit",
  "Mapping.Modify",
  "Mapping.Use",
  "SDN.Audit",
  "SDN.Use",
  "Sys.AccessNetwork",
  "Sys.Audit",
  "Sys.Console",
  "Sys.Modify",
  "VM.Allocate",
  "VM.Audit",
  "VM.Clone",
  "VM.Config.CDROM",
  "VM.Config.CPU",
  "VM.Config.Cloudinit",
  "VM.Config.Disk",
  "VM.Config.HWType",
  "VM.Config.Memory",
  "VM.Config.Network",
  "VM.Config.Options",
  "VM.GuestAgent.Audit",
  "VM.PowerMgmt",
];

/**
 * Privileges of the role `Keeper`: what the host side's token needs, and nothing else: to look at guests, start and end
 * them, ask their agents, move balloons, and give the mapped GPU from one to another. Source: as above.
 */
export const keeperPrivileges: readonly string[] = [
  "Mapping.Use",
  "VM.Audit",
  "VM.Config.HWType",
  "VM.Config.Memory",
  "VM.GuestAgent.Audit",
  "VM.PowerMgmt",
];
