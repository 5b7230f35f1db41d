/**
 * The typed model of one Proxmox VE node: everything the lab remembers, and nothing else.
 *
 * The whole model is plain JSON, so that a snapshot of it on disk is the whole recovery procedure. Guest
 * configurations keep Proxmox's own shape (one string an option), because that is what the API speaks.
 */
import type { TaskWork } from "./work.ts";

export const GIB = 1024 ** 3;
export const MIB = 1024 ** 2;

/** Increased when a stored snapshot of an older shape can no longer be read. */
export const STATE_VERSION = 1;

export type GuestKind = "qemu" | "lxc";
export type RunStatus = "stopped" | "running" | "paused";
export type Config = Record<string, string>;

export interface Snapshot {
  name: string;
  description: string;
  parent?: string;
  snaptime: number;
  vmstate: boolean;
  config: Config;
}

export interface GuestRun {
  status: RunStatus;
  pid?: number;
  /** Wall clock of the start, milliseconds since the epoch. */
  startedAtMs?: number;
  /** The configuration the guest was started with: what the running process really uses. */
  boot?: Config;
  /** Balloon: the size is `fromMiB` at `sinceMs` and moves towards `targetMiB`, at once or in pvestatd's steps. */
  balloon?: { fromMiB: number; targetMiB: number; sinceMs: number; atOnce: boolean };
}

export interface Guest {
  vmid: number;
  kind: GuestKind;
  /** Options as in the configuration file, `lock` included. */
  config: Config;
  pending: Config;
  pendingDelete: string[];
  snapshots: Snapshot[];
  run: GuestRun;
  firewall: FirewallScope;
}

export interface Volume {
  volid: string;
  storage: string;
  /** images, rootdir, iso, vztmpl, snippets, import, backup */
  content: string;
  format: string;
  sizeBytes: number;
  vmid?: number;
  ctime: number;
  checksum?: { algorithm: string; value: string };
  /** Whether the volume carries a system (a copied cloud image or a template), so that a guest can boot it. */
  bootable: boolean;
  /** Root's `authorized_keys` in a container's root file system, as it was made. */
  rootKeys?: string;
}

/** One entry of /etc/pve/storage.cfg. */
export interface StorageConfig {
  storage: string;
  type: string;
  options: Record<string, string>;
}

export interface Iface {
  iface: string;
  type: string;
  /** The physical device exists whatever the configuration says. */
  physical: boolean;
  options: Record<string, string>;
}

export type FirewallRule = Record<string, string>;

export interface FirewallScope {
  options: Record<string, string>;
  rules: FirewallRule[];
  aliases: Record<string, { name: string; cidr: string; comment?: string }>;
  ipset: Record<string, { comment?: string; entries: { cidr: string; nomatch?: string; comment?: string }[] }>;
}

export interface Mapping {
  id: string;
  type: "pci" | "usb" | "dir";
  map: string[];
  description?: string;
  mdev?: string;
}

export interface Token {
  tokenid: string;
  privsep: boolean;
  expire: number;
  comment?: string;
  secretHash: string;
}

export interface User {
  userid: string;
  enable: boolean;
  expire: number;
  firstname?: string;
  lastname?: string;
  email?: string;
  comment?: string;
  keys?: string;
  groups: string[];
  passwordHash?: string;
  tokens: Record<string, Token>;
}

export interface AclEntry {
  path: string;
  type: "user" | "group" | "token";
  ugid: string;
  roleid: string;
  propagate: boolean;
}

export interface Pool {
  poolid: string;
  comment?: string;
  vms: number[];
  storage: string[];
}

export interface Task {
  upid: string;
  node: string;
  type: string;
  id: string;
  user: string;
  pid: number;
  startTime: number;
  endTime?: number;
  exitStatus?: string;
  log: string[];
  /** What the task does when its time has come; absent once it has ended. */
  work?: TaskWork;
  dueAtMs: number;
}

export interface Cpu {
  model: string;
  sockets: number;
  cores: number;
  threads: number;
  mhz: number;
  /** Logical CPUs of each physical core, in core order. */
  siblings: number[][];
}

export interface PciDevice {
  id: string;
  class: string;
  vendor: string;
  device: string;
  vendorName: string;
  deviceName: string;
  subsystemVendor: string;
  subsystemDevice: string;
  iommuGroup: number;
}

export interface UsbDevice {
  vendid: string;
  prodid: string;
  busnum: number;
  devnum: number;
  port: string;
  usbpath: string;
  product: string;
  manufacturer: string;
  speed: string;
}

export interface Disk {
  devpath: string;
  model: string;
  serial: string;
  sizeBytes: number;
  type: string;
  used: string;
}

export interface Zpool {
  name: string;
  sizeBytes: number;
  health: string;
  devices: string[];
  raid: string;
}

export interface Node {
  name: string;
  cpu: Cpu;
  memoryMiB: number;
  /** What the host keeps for itself before any guest runs. */
  hostMemoryMiB: number;
  bootedAtMs: number;
  pci: PciDevice[];
  usb: UsbDevice[];
  disks: Disk[];
  zpools: Zpool[];
  dns: { search: string; dns1?: string; dns2?: string; dns3?: string };
  hosts: string;
  timezone: string;
}

export interface LabState {
  version: number;
  fixture: string;
  node: Node;
  guests: Record<string, Guest>;
  volumes: Record<string, Volume>;
  storages: Record<string, StorageConfig>;
  network: { live: Record<string, Iface>; staged: Record<string, Iface> };
  firewall: {
    cluster: FirewallScope;
    node: FirewallScope;
    groups: Record<string, { comment?: string; rules: FirewallRule[] }>;
  };
  mappings: { pci: Record<string, Mapping>; usb: Record<string, Mapping>; dir: Record<string, Mapping> };
  access: {
    users: Record<string, User>;
    groups: Record<string, { comment?: string }>;
    roles: Record<string, string[]>;
    acl: AclEntry[];
    /** HMAC key of login tickets. */
    ticketKey: string;
  };
  pools: Record<string, Pool>;
  clusterOptions: Record<string, string>;
  tasks: Task[];
  nextPid: number;
}

export function emptyScope(): FirewallScope {
  return { options: {}, rules: [], aliases: {}, ipset: {} };
}
