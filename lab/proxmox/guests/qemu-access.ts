/**
 * What an identity may set on a VM. Only root@pam itself passes unchecked: a token of root@pam does not.
 *
 * Source: qemu-server src/PVE/API2/Qemu.pm ($check_vm_modify_config_perm, check_usb_perm, check_hostpci_perm,
 * check_rng_perm, check_dir_perm, $check_storage_access), src/PVE/QemuServer.pm (check_bridge_access);
 * pve-guest-common src/PVE/GuestHelpers.pm (assert_tag_permissions); pve-storage src/PVE/Storage.pm (check_volume_access).
 */
import { allowed, need, needAny, needBridge, needGuest } from "../access/permissions.ts";
import { type Identity, isRoot } from "../access/identity.ts";
import { die, paramError, permError } from "../core/errors.ts";
import { parseProperty, splitList } from "../core/property.ts";
import type { Config, LabState } from "../core/state.ts";
import { isCdrom, isCloudInit, newDisk, parseDrive } from "./drives.ts";
import * as schema from "./schema.ts";
import { storageConfig, supports } from "./volumes.ts";

export interface Who {
  readonly state: LabState;
  readonly identity: Identity;
  readonly vmid: number;
  readonly pool?: string | undefined;
}

function guestNeeds(who: Who, privileges: readonly string[], any = false): void {
  needGuest(who.state, who.identity, who.vmid, who.pool, privileges, any);
}

/** Options by name; devices and drives are checked by value elsewhere. */
export function checkOptions(who: Who, keys: readonly string[]): void {
  if (isRoot(who.identity)) return;
  for (const key of keys) {
    if (schema.isDrive(key) || key === "cdrom" || key === "tags") continue;
    if (/^(unused|serial|usb|hostpci|virtiofs)\d+$/.test(key)) continue;
    if (schema.CPU_OPTIONS.has(key) || /^numa\d+$/.test(key)) guestNeeds(who, ["VM.Config.CPU"]);
    else if (schema.MEMORY_OPTIONS.has(key)) guestNeeds(who, ["VM.Config.Memory"]);
    else if (schema.HWTYPE_OPTIONS.has(key)) guestNeeds(who, ["VM.Config.HWType"]);
    else if (schema.GENERAL_OPTIONS.has(key)) {
      guestNeeds(who, ["VM.Config.Options"]);
      if (key === "startup") need(who.state, who.identity, "/", ["Sys.Modify"]);
    } else if (schema.POWER_OPTIONS.has(key)) guestNeeds(who, ["VM.PowerMgmt"]);
    else if (schema.DISK_OPTIONS.has(key)) guestNeeds(who, ["VM.Config.Disk"]);
    else if (/^net\d+$/.test(key)) guestNeeds(who, ["VM.Config.Network"]);
    else if (schema.CLOUDINIT_OPTIONS.has(key) || /^ipconfig\d+$/.test(key)) {
      guestNeeds(who, ["VM.Config.Cloudinit", "VM.Config.Network"], true);
    } else die(`only root can set '${key}' config`);
  }
}

/** Devices of the host: a resource mapping with Mapping.Use, or root@pam. */
export function checkDevice(who: Who, key: string, value: string, verb: "set" | "delete" | "modify" = "set"): void {
  if (isRoot(who.identity)) return;
  if (/^serial\d+$/.test(key)) {
    if (value !== "socket") die(`only root can ${verb} '${key}' config for real devices`);
    guestNeeds(who, ["VM.Config.HWType"]);
  } else if (/^usb\d+$/.test(key)) {
    guestNeeds(who, ["VM.Config.HWType"]);
    const device = parseProperty(value, "host");
    if (device["host"] !== undefined) {
      if (!/^spice$/i.test(device["host"])) die(`only root can set '${key}' config for real devices`);
    } else if (device["mapping"] !== undefined) {
      need(who.state, who.identity, `/mapping/usb/${device["mapping"]}`, ["Mapping.Use"]);
    } else die("either 'host' or 'mapping' must be set.");
  } else if (/^hostpci\d+$/.test(key)) {
    const device = parseProperty(value, "host");
    if (device["host"] !== undefined) die(`only root can set '${key}' config for non-mapped devices`);
    if (device["mapping"] === undefined) die("either 'host' or 'mapping' must be set.");
    need(who.state, who.identity, `/mapping/pci/${device["mapping"]}`, ["Mapping.Use"]);
    guestNeeds(who, ["VM.Config.HWType"]);
    if (device["romfile"] !== undefined) paramError({ [key]: "only root@pam can set 'romfile' option" });
  } else if (key === "rng0") {
    guestNeeds(who, ["VM.Config.HWType"]);
    if (parseProperty(value, "source")["source"] === "/dev/hwrng") {
      need(who.state, who.identity, "/mapping/hwrng", ["Mapping.Use"]);
    }
  } else if (/^virtiofs\d+$/.test(key)) {
    guestNeeds(who, ["VM.Config.Disk"]);
    const dir = parseProperty(value, "dirid")["dirid"] ?? "";
    need(who.state, who.identity, `/mapping/dir/${dir}`, ["Mapping.Use"]);
  }
}

export function checkDriveChange(who: Who, value: string): void {
  const drive = parseDrive(value);
  if (isCloudInit(drive)) guestNeeds(who, ["VM.Config.Cloudinit", "VM.Config.CDROM"]);
  else if (isCdrom(drive)) guestNeeds(who, ["VM.Config.CDROM"]);
  else guestNeeds(who, ["VM.Config.Disk"]);
}

export function checkVolumeAccess(who: Who, volid: string): void {
  if (!volid.includes(":")) {
    if (!isRoot(who.identity)) die("Only root can pass arbitrary filesystem paths.");
    return;
  }
  const storage = volid.slice(0, volid.indexOf(":"));
  const path = `/storage/${storage}`;
  if (allowed(who.state, who.identity, path, "Datastore.Allocate")) return;
  const volume = who.state.volumes[volid];
  const content = volume?.content ?? "";
  if (["iso", "vztmpl", "import"].includes(content) || /:(iso|vztmpl|import)\//.test(volid)) {
    needAny(who.state, who.identity, path, ["Datastore.AllocateSpace", "Datastore.Audit"]);
  } else if (volume?.vmid === who.vmid) {
    return;
  } else if ((content === "images" || content === "rootdir") && volume?.vmid !== undefined) {
    need(who.state, who.identity, path, ["Datastore.Audit"]);
    need(who.state, who.identity, `/vms/${volume.vmid}`, ["VM.Config.Disk"]);
  } else die(`missing privileges to access ${volid}`);
}

/** Storage access of every drive in the settings, before anything is created. */
export function checkStorageAccess(who: Who, settings: Config, defaultStorage?: string): void {
  for (const [key, value] of Object.entries(settings)) {
    if (schema.isUnused(key)) checkVolumeAccess(who, parseDrive(value).file);
    if (!schema.isDrive(key)) continue;
    const drive = parseDrive(value);
    const wanted = newDisk(drive);
    if (isCloudInit(drive) || drive.file === "none" || drive.file === "") {
      const storage = /^([^:]+):/.exec(drive.file)?.[1];
      if (storage !== undefined) storageConfig(who.state, storage);
    } else if (drive.file === "cdrom") {
      need(who.state, who.identity, "/", ["Sys.Console"]);
    } else if (wanted) {
      const id = wanted.storage ?? defaultStorage ?? die("no storage ID specified (and no default storage)");
      need(who.state, who.identity, `/storage/${id}`, ["Datastore.AllocateSpace"]);
      if (!supports(storageConfig(who.state, id), "images")) {
        paramError({ storage: `storage '${id}' does not support vm images` });
      }
    } else {
      checkVolumeAccess(who, drive.file);
      if (drive.file.includes(":") && who.state.volumes[drive.file] === undefined && !drive.file.includes(":iso/")) {
        die(`volume '${drive.file}' does not exist`);
      }
    }
    const source = drive.options["import-from"];
    if (source !== undefined) checkImport(who, key, source);
  }
}

function checkImport(who: Who, key: string, source: string): void {
  checkVolumeAccess(who, source);
  const content = who.state.volumes[source]?.content;
  if (content !== undefined && content !== "images" && content !== "import") {
    paramError({ [key]: `${source} has wrong type '${content}' - needs to be 'images' or 'import'` });
  }
}

export function checkBridges(who: Who, settings: Config): void {
  if (isRoot(who.identity)) return;
  for (const [key, value] of Object.entries(settings)) {
    if (!/^net\d+$/.test(key)) continue;
    const net = parseProperty(value, "model");
    if (net["bridge"] !== undefined) needBridge(who.state, who.identity, net["bridge"], net["tag"]);
  }
}

/** Tags are free by default; those registered as privileged need Sys.Modify. */
export function checkTags(who: Who, before: string | undefined, after: string | undefined): void {
  if (isRoot(who.identity)) return;
  guestNeeds({ ...who, pool: undefined }, ["VM.Config.Options"]);
  if (allowed(who.state, who.identity, "/", "Sys.Modify")) return;
  const registered = new Set(splitList(who.state.clusterOptions["registered-tags"]));
  const old = new Set(splitList(before));
  const now = new Set(splitList(after));
  for (const tag of [...old, ...now]) {
    if (old.has(tag) !== now.has(tag) && registered.has(tag)) permError(`/, Sys.Modify for modifying tag '${tag}'`);
  }
}
