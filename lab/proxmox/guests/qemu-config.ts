/**
 * Making and changing a VM's configuration. Changes go to the pending section first; what cannot take effect in a
 * running VM stays there until it is started anew.
 *
 * Source: qemu-server src/PVE/API2/Qemu.pm (create_vm, update_vm), src/PVE/QemuServer.pm (vmconfig_hotplug_pending).
 */
import { hashSecret } from "../access/secrets.ts";
import { die, paramError } from "../core/errors.ts";
import { formatProperty, parseProperty, splitList } from "../core/property.ts";
import type { Environment } from "../core/router.ts";
import type { Config, Guest, LabState } from "../core/state.ts";
import { isCdrom, isCloudInit, nextUnused, parseDrive, realiseDrive, volumesInConfig } from "./drives.ts";
import { checkLock, checkProtection } from "./model.ts";
import { freeVolume, setBalloonTarget } from "./run.ts";
import { isDrive, isFastPlug, isOption, isUnused, QEMU_OPTIONS } from "./schema.ts";

const NET_MODELS = /^(e1000|e1000e|i82551|i82557b|i82559er|ne2k_isa|ne2k_pci|pcnet|rtl8139|virtio|vmxnet3)$/;

/** `model=virtio,bridge=vmbr0` → `virtio=BC:24:11:…,bridge=vmbr0`, with a MAC of Proxmox's prefix where none is given. */
export function normaliseNet(key: string, value: string, env: Environment): string {
  const parts = parseProperty(value, "model");
  let model = parts["model"];
  let mac = parts["macaddr"];
  delete parts["model"];
  delete parts["macaddr"];
  for (const name of Object.keys(parts)) {
    if (!NET_MODELS.test(name)) continue;
    model = name;
    mac = parts[name];
    delete parts[name];
  }
  if (model === undefined || !NET_MODELS.test(model))
    paramError({ [key]: "invalid format - format error\nmodel: property is missing and it is not optional" });
  mac ??= `BC:24:11:${(env.randomHex(3).match(/../g) ?? []).join(":")}`;
  return formatProperty({ [model]: mac.toUpperCase(), ...parts });
}

/** Unique, in lower case, sorted. Source: pve-guest-common src/PVE/GuestHelpers.pm (get_unique_tags). */
export function normaliseTags(value: string): string {
  return [...new Set(splitList(value.toLowerCase()))].sort().join(";");
}

function normalise(key: string, value: string, env: Environment): string {
  if (/^net\d+$/.test(key)) return normaliseNet(key, value, env);
  if (key === "tags") return normaliseTags(value);
  if (key === "vmgenid" && value === "1") return env.uuid();
  if (key === "description") return value.replace(/\s+$/, "");
  return value;
}

/** Formats Proxmox checks before it looks at anything else; all faults at once. */
export function checkFormats(params: Config): void {
  const errors: Record<string, string> = {};
  const int = (key: string, min: number, max: number): void => {
    const value = params[key];
    if (value === undefined) return;
    if (!/^-?\d+$/.test(value)) errors[key] = `type check ('integer') failed - got '${value}'`;
    else if (Number(value) < min) errors[key] = `value must have a minimum value of ${min}`;
    else if (Number(value) > max) errors[key] = `value must have a maximum value of ${max}`;
  };
  int("cores", 1, 4096);
  int("sockets", 1, 4);
  int("memory", 16, 8_388_608);
  int("balloon", 0, 8_388_608);
  int("shares", 0, 50_000);
  int("cpuunits", 1, 262_144);
  int("vcpus", 1, 4096);
  if (
    params["name"] !== undefined &&
    !/^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*$/.test(params["name"])
  ) {
    errors["name"] = "invalid format - value does not look like a valid DNS name";
  }
  for (const tag of splitList(params["tags"])) {
    if (!/^[a-zA-Z0-9_][a-zA-Z0-9_\-+.]*$/.test(tag)) errors["tags"] = `invalid format - invalid characters in tag`;
  }
  if (params["affinity"] !== undefined && !/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(params["affinity"])) {
    errors["affinity"] = "invalid format - invalid cpuset";
  }
  if (Object.keys(errors).length > 0) paramError(errors);
}

export function checkBalloon(params: Config, guest?: Guest): void {
  const memory = Number(params["memory"] ?? guest?.pending["memory"] ?? guest?.config["memory"] ?? 512);
  const balloon = Number(params["balloon"] ?? guest?.pending["balloon"] ?? guest?.config["balloon"] ?? 0);
  if ((params["memory"] !== undefined || params["balloon"] !== undefined) && balloon > memory) {
    die("balloon value too large (must be smaller than assigned memory)");
  }
}

export interface ApplyOptions {
  readonly env: Environment;
  readonly fullStorages: readonly string[];
  readonly defaultStorage?: string | undefined;
}

/** The configuration a `qmcreate` worker writes. */
export function buildConfig(state: LabState, vmid: number, params: Config, options: ApplyOptions): Config {
  const config: Config = {};
  for (const key of Object.keys(params).sort()) {
    const value = params[key] ?? "";
    config[key] = isDrive(key)
      ? realiseDrive(state, vmid, key, value, { ...options, nowMs: options.env.nowMs })
      : normalise(key, value, options.env);
  }
  if (config["boot"] === undefined) {
    const devices = defaultBootOrder(config);
    config["boot"] = devices.length > 0 ? `order=${devices.join(";")}` : " ";
  }
  config["smbios1"] ??= `uuid=${options.env.uuid()}`;
  config["vmgenid"] ??= options.env.uuid();
  config["meta"] = `creation-qemu=10.1.2,ctime=${Math.floor(options.env.nowMs / 1000)}`;
  return config;
}

/** The first disk, the first CD drive, the first card. Source: qemu-server src/PVE/QemuServer.pm (get_default_bootdevices). */
function defaultBootOrder(config: Config): string[] {
  const drives = ["ide", "scsi", "virtio", "sata"].flatMap((bus) =>
    Object.keys(config)
      .filter((key) => isDrive(key) && key.startsWith(bus))
      .sort((a, b) => Number(a.slice(bus.length)) - Number(b.slice(bus.length))),
  );
  const cdrom = (key: string): boolean => isCdrom(parseDrive(config[key] ?? ""));
  const first = [
    drives.find((key) => !cdrom(key)),
    drives.find(cdrom),
    Object.keys(config)
      .filter((key) => /^net\d+$/.test(key))
      .sort()[0],
  ];
  return first.filter((key) => key !== undefined);
}

/** Passwords are hashed before anything is stored, the parameters of a waiting task included. */
export function hideSecrets(params: Config): Config {
  const password = params["cipassword"];
  return password === undefined ? params : { ...params, cipassword: hashSecret(password) };
}

/** One update, sync or in a worker: everything is checked before anything is written. */
export function updateConfig(
  state: LabState,
  guest: Guest,
  params: Config,
  remove: readonly string[],
  options: ApplyOptions & { force: boolean; skipLock?: boolean },
): void {
  for (const key of remove) {
    if (params[key] !== undefined) {
      paramError({ delete: `you can't use '-${key}' and -delete ${key}' at the same time` });
    }
    if (!isOption(QEMU_OPTIONS, key)) paramError({ delete: `unknown option '${key}'` });
  }
  if (!options.skipLock) checkLock(guest);
  checkBalloon(params, guest);
  const running = guest.run.status !== "stopped";
  for (const key of remove) removeOption(state, guest, key, options, running);
  for (const key of Object.keys(params).sort()) setOption(state, guest, key, params[key] ?? "", running, options);
  if (!running) applyPending(guest);
}

function removeOption(
  state: LabState,
  guest: Guest,
  key: string,
  options: ApplyOptions & { force: boolean },
  running: boolean,
): void {
  const force = options.force;
  const value = guest.config[key] ?? guest.pending[key];
  if (value === undefined) return;
  if (isUnused(key)) {
    checkProtection(guest, `can't remove unused disk '${key}'`);
    const { [key]: removed, ...rest } = guest.config;
    guest.config = rest;
    const volid = parseDrive(removed ?? "").file;
    if (!volumesInConfig(guest.config).includes(volid)) freeVolume(state, volid);
    return;
  }
  if (isDrive(key)) checkProtection(guest, `can't remove drive '${key}'`);
  if (guest.config[key] === undefined) {
    releaseDrive(state, guest, key, value, force);
    delete guest.pending[key];
    return;
  }
  delete guest.pending[key];
  if (running && !canHotplug(guest, key, undefined)) {
    if (!guest.pendingDelete.includes(key)) guest.pendingDelete.push(key);
    return;
  }
  delete guest.config[key];
  releaseDrive(state, guest, key, value, force);
  if (key === "balloon" && running) {
    setBalloonTarget(guest, Number(guest.config["memory"] ?? 512), true, options.env.nowMs);
  }
}

/** A removed drive keeps its volume as `unusedN`, unless it is a CD, cloud-init's, or removal is forced. */
function releaseDrive(state: LabState, guest: Guest, key: string, value: string, force: boolean): void {
  if (!isDrive(key)) return;
  const drive = parseDrive(value);
  const volume = state.volumes[drive.file];
  if (volume?.vmid !== guest.vmid) return;
  if (isCloudInit(drive) || force) freeVolume(state, drive.file);
  else if (!isCdrom(drive)) guest.config[nextUnused(guest.config)] = drive.file;
}

function setOption(
  state: LabState,
  guest: Guest,
  key: string,
  raw: string,
  running: boolean,
  options: ApplyOptions,
): void {
  if (key === "boot") checkBootOrder(guest, raw);
  const value = isDrive(key) ? setDrive(state, guest, key, raw, options) : normalise(key, raw, options.env);
  guest.pendingDelete = guest.pendingDelete.filter((name) => name !== key);
  if (!running || canHotplug(guest, key, value)) {
    if (running && key === "balloon") {
      const target = Number(value) || Number(guest.config["memory"] ?? 512);
      setBalloonTarget(guest, target, guest.config["shares"] === "0", options.env.nowMs);
    }
    guest.config[key] = value;
    delete guest.pending[key];
  } else if (guest.config[key] === value) delete guest.pending[key];
  else guest.pending[key] = value;
}

function setDrive(state: LabState, guest: Guest, key: string, raw: string, options: ApplyOptions): string {
  const value = realiseDrive(state, guest.vmid, key, raw, { ...options, nowMs: options.env.nowMs });
  const before = guest.config[key];
  if (before !== undefined && parseDrive(before).file !== parseDrive(value).file) {
    releaseDrive(state, guest, key, before, false);
  }
  // A volume taken back into use is no longer unused.
  for (const name of Object.keys(guest.config)) {
    if (isUnused(name) && parseDrive(guest.config[name] ?? "").file === parseDrive(value).file)
      delete guest.config[name];
  }
  return value;
}

function checkBootOrder(guest: Guest, value: string): void {
  const order = parseProperty(value, "legacy")["order"];
  if (order === undefined) return;
  for (const device of order.split(/[;\s]/).filter((d) => d !== "")) {
    const exists = guest.config[device] !== undefined || guest.pending[device] !== undefined;
    if (!exists) die(`invalid bootorder: device '${device}' does not exist'`);
  }
}

/** Default hotplug features: network, disk, usb. */
function canHotplug(guest: Guest, key: string, value: string | undefined): boolean {
  if (isFastPlug(key) || key === "cpuunits" || key === "cpulimit") return true;
  const features = guest.config["hotplug"] ?? "network,disk,usb";
  const has = (name: string): boolean => features === "1" || features.includes(name);
  if (/^net\d+$/.test(key)) return has("network");
  if (/^(scsi|virtio)\d+$/.test(key)) return has("disk");
  if (/^(ide|sata)\d+$/.test(key))
    return value !== undefined && isCdrom(parseDrive(value)) && guest.config[key] !== undefined;
  if (/^usb\d+$/.test(key)) return has("usb");
  if (key === "balloon") return (guest.config["balloon"] !== "0") === (value !== "0");
  return false;
}

export function applyPending(guest: Guest): void {
  for (const key of guest.pendingDelete) delete guest.config[key];
  Object.assign(guest.config, guest.pending);
  guest.pending = {};
  guest.pendingDelete = [];
}
