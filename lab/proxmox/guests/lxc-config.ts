/**
 * Containers' configuration. Sources: pve-container src/PVE/API2/LXC.pm (create_vm), src/PVE/LXC/Config.pm
 * (update_pct_config), src/PVE/LXC.pm (check_ct_modify_config_perm).
 */
import { type Identity, isRoot } from "../access/identity.ts";
import { need, needBridge, needGuest } from "../access/permissions.ts";
import { die, paramError, permError } from "../core/errors.ts";
import { formatProperty, formatSize, parseProperty, parseSize } from "../core/property.ts";
import type { Environment } from "../core/router.ts";
import { type Config, GIB, type Guest, type LabState } from "../core/state.ts";
import { formatDrive, nextUnused, parseDrive, volumesInConfig } from "./drives.ts";
import { checkProtection } from "./model.ts";
import { normaliseTags } from "./qemu-config.ts";
import type { Who } from "./qemu-access.ts";
import { checkTags, checkVolumeAccess } from "./qemu-access.ts";
import { freeVolume } from "./run.ts";
import { isMountPoint, isOption, isUnused, LXC_OPTIONS } from "./schema.ts";
import { allocate } from "./volumes.ts";

const NEW_VOLUME = /^([^:/\s]+):(\d+(?:\.\d+)?)$/;

export interface ContainerOptions {
  readonly env: Environment;
  readonly fullStorages: readonly string[];
}

export function buildContainer(
  state: LabState,
  vmid: number,
  params: Config,
  storage: string,
  options: ContainerOptions,
): Config {
  const { ostemplate, password: _password, "ssh-public-keys": keys, ...rest } = params;
  const template = state.volumes[ostemplate ?? ""] ?? die(`volume '${ostemplate ?? ""}' does not exist`);
  const config: Config = { arch: "amd64", ostype: osTypeOf(template.volid), memory: "512", swap: "512" };
  for (const key of Object.keys(rest).sort()) config[key] = normaliseLxc(state, vmid, key, rest[key] ?? "", options);
  if (config["rootfs"] === undefined) {
    config["rootfs"] = normaliseLxc(state, vmid, "rootfs", `${storage}:4`, options);
  }
  const root = state.volumes[parseDrive(config["rootfs"] ?? "").file];
  if (root) root.bootable = true;
  // src/PVE/LXC/Setup/Base.pm (post_create_hook): written into the file system once, and kept in no configuration.
  if (root && keys !== undefined) root.rootKeys = keys;
  return config;
}

function osTypeOf(template: string): string {
  const found = /(alpine|archlinux|centos|debian|devuan|fedora|gentoo|nixos|opensuse|ubuntu)/.exec(template);
  return found?.[1] ?? "unmanaged";
}

function normaliseLxc(state: LabState, vmid: number, key: string, value: string, options: ContainerOptions): string {
  if (key === "tags") return normaliseTags(value);
  // A container's description reads back ending in one line feed (bpg v0.111.1, container.go, StateFunc).
  if (key === "description") return value === "" ? "" : `${value.replace(/\s+$/, "")}\n`;
  if (/^net\d+$/.test(key)) {
    const net = parseProperty(value, "name");
    if (net["name"] === undefined)
      paramError({ [key]: "invalid format - format error\nname: property is missing and it is not optional" });
    const mac = net["hwaddr"] ?? `BC:24:11:${(options.env.randomHex(3).match(/../g) ?? []).join(":")}`.toUpperCase();
    return formatProperty({ ...net, hwaddr: mac, type: net["type"] ?? "veth" });
  }
  if (!isMountPoint(key)) return value;
  const parts = parseProperty(value, "volume");
  const file = parts["volume"] ?? "";
  delete parts["volume"];
  const wanted = NEW_VOLUME.exec(file);
  if (!wanted) return value;
  const sizeBytes =
    parts["size"] === undefined ? Math.ceil(Number(wanted[2]) * GIB) : (parseSize(parts["size"]) ?? GIB);
  const volume = allocate(
    state,
    { storage: wanted[1] ?? "", vmid, sizeBytes, content: "rootdir", bootable: false },
    options.env.nowMs,
    options.fullStorages,
  );
  return formatDrive({ file: volume.volid, options: { ...parts, size: formatSize(sizeBytes) } });
}

/** Options that take effect in a running container; the others wait for its restart. */
const LIVE =
  /^(description|onboot|startup|protection|tags|hostname|memory|swap|cores|cpulimit|cpuunits|nameserver|searchdomain|net\d+|mp\d+)$/;

export function updateContainer(
  state: LabState,
  guest: Guest,
  params: Config,
  remove: readonly string[],
  options: ContainerOptions,
): void {
  const running = guest.run.status !== "stopped";
  for (const key of remove) {
    if (!isOption(LXC_OPTIONS, key)) paramError({ delete: `unknown option '${key}'` });
    if (key === "rootfs" || key === "memory") die(`unable to delete required option '${key}'`);
    removeLxc(state, guest, key, running);
  }
  for (const key of Object.keys(params).sort()) {
    const value = normaliseLxc(state, guest.vmid, key, params[key] ?? "", options);
    if (running && !LIVE.test(key)) guest.pending[key] = value;
    else {
      guest.config[key] = value;
      delete guest.pending[key];
    }
    guest.pendingDelete = guest.pendingDelete.filter((name) => name !== key);
  }
}

function removeLxc(state: LabState, guest: Guest, key: string, running: boolean): void {
  const value = guest.config[key];
  delete guest.pending[key];
  if (value === undefined) return;
  if (running && !LIVE.test(key)) {
    if (!guest.pendingDelete.includes(key)) guest.pendingDelete.push(key);
    return;
  }
  if (isMountPoint(key) || isUnused(key))
    checkProtection(guest, `can't remove ${isUnused(key) ? "unused disk" : "drive"} '${key}'`);
  delete guest.config[key];
  const volid = parseDrive(value).file;
  if (state.volumes[volid]?.vmid !== guest.vmid || volumesInConfig(guest.config).includes(volid)) return;
  if (isUnused(key)) freeVolume(state, volid);
  else if (isMountPoint(key)) guest.config[nextUnused(guest.config)] = volid;
}

/** Device passthrough, hook scripts and most feature flags are root@pam's alone. */
export function checkContainerOptions(
  state: LabState,
  identity: Identity,
  vmid: number,
  pool: string | undefined,
  params: Config,
  remove: readonly string[],
  before: Config,
): void {
  if (isRoot(identity)) return;
  const who: Who = { state, identity, vmid, pool };
  const guestNeeds = (privileges: string[]): void => needGuest(state, identity, vmid, pool, privileges);
  const unprivileged = (params["unprivileged"] ?? before["unprivileged"]) === "1";
  for (const key of [...Object.keys(params), ...remove]) {
    const value = params[key];
    if (/^(cores|cpuunits|cpulimit)$/.test(key)) guestNeeds(["VM.Config.CPU"]);
    else if (isMountPoint(key)) {
      guestNeeds(["VM.Config.Disk"]);
      if (value !== undefined) checkMountPoint(who, value);
    } else if (/^(memory|swap)$/.test(key)) guestNeeds(["VM.Config.Memory"]);
    else if (/^net\d+$/.test(key)) {
      guestNeeds(["VM.Config.Network"]);
      const net = parseProperty(value ?? before[key] ?? "", "name");
      if (net["bridge"] !== undefined) needBridge(state, identity, net["bridge"], net["tag"]);
    } else if (/^dev\d+$/.test(key)) permError("configuring device passthrough is only allowed for root@pam");
    else if (/^(nameserver|searchdomain|hostname)$/.test(key)) guestNeeds(["VM.Config.Network"]);
    else if (key === "features") checkFeatures(guestNeeds, unprivileged, before["features"], value);
    else if (key === "hookscript") permError("changing the hookscript is only allowed for root@pam");
    else if (key === "tags") checkTags(who, before["tags"], value);
    else guestNeeds(["VM.Config.Options"]);
  }
}

function checkMountPoint(who: Who, value: string): void {
  const file = parseProperty(value, "volume")["volume"] ?? "";
  if (file.startsWith("/")) {
    permError(`mount point type ${file.startsWith("/dev/") ? "device" : "bind"} is only allowed for root@pam`);
  }
  const wanted = NEW_VOLUME.exec(file);
  if (wanted) need(who.state, who.identity, `/storage/${wanted[1] ?? ""}`, ["Datastore.AllocateSpace"]);
  else checkVolumeAccess(who, file);
}

function checkFeatures(
  guestNeeds: (privileges: string[]) => void,
  unprivileged: boolean,
  before: string | undefined,
  after: string | undefined,
): void {
  if (!unprivileged) permError("changing feature flags for privileged container is only allowed for root@pam");
  const old = parseProperty(before ?? "");
  const now = parseProperty(after ?? "");
  const changed = [...new Set([...Object.keys(old), ...Object.keys(now)])].filter((f) => old[f] !== now[f]);
  if (changed.some((feature) => feature !== "nesting")) {
    permError("changing feature flags (except nesting) is only allowed for root@pam");
  }
  if (changed.length > 0) guestNeeds(["VM.Allocate"]);
}
