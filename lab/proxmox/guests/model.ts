/** Guests: finding, locking, reading. Source: pve-guest-common src/PVE/AbstractConfig.pm. */
import { die } from "../core/errors.ts";
import { configDigest } from "../core/property.ts";
import { type Config, emptyScope, type Guest, type GuestKind, type LabState } from "../core/state.ts";
import { typedValue } from "./schema.ts";

const DIRECTORY: Record<GuestKind, string> = { qemu: "qemu-server", lxc: "lxc" };

export function getGuest(state: LabState, kind: GuestKind, vmid: string | number): Guest {
  const guest = state.guests[String(vmid)];
  if (guest?.kind !== kind) {
    die(`Configuration file 'nodes/${state.node.name}/${DIRECTORY[kind]}/${vmid}.conf' does not exist`);
  }
  return guest;
}

export function anyGuest(state: LabState, vmid: number): Guest {
  return state.guests[String(vmid)] ?? die(`guest ${vmid} does not exist`);
}

export function checkLock(guest: Guest): void {
  const lock = guest.config["lock"];
  if (lock !== undefined) die(`${guest.kind === "qemu" ? "VM" : "CT"} is locked (${lock})`);
}

export function setLock(guest: Guest, lock: string): void {
  checkLock(guest);
  guest.config["lock"] = lock;
}

export function isTemplate(guest: Guest): boolean {
  return guest.config["template"] === "1";
}

export function checkProtection(guest: Guest, what: string): void {
  if (guest.config["protection"] === "1") die(`${what} - protection mode enabled`);
}

export function digestOf(guest: Guest): string {
  return configDigest(guest.config, guest.pending);
}

export function checkDigest(guest: Guest, digest: string | undefined): void {
  if (digest !== undefined && digest !== digestOf(guest)) die("checksum mismatch (file change by other user?)");
}

export function blankGuest(vmid: number, kind: GuestKind, config: Config): Guest {
  return {
    vmid,
    kind,
    config,
    pending: {},
    pendingDelete: [],
    snapshots: [],
    run: { status: "stopped" },
    firewall: emptyScope(),
  };
}

/** Reserves an id: the configuration file exists and is locked before the worker starts. */
export function reserve(state: LabState, kind: GuestKind, vmid: number, lock: string): void {
  const taken = state.guests[String(vmid)];
  if (taken) {
    const label = taken.kind === "qemu" ? "VM" : "CT";
    const wanted = kind === "qemu" ? "VM" : "CT";
    die(`unable to create ${wanted} ${vmid} - ${label} ${vmid} already exists on node '${state.node.name}'`);
  }
  state.guests[String(vmid)] = blankGuest(vmid, kind, { lock });
}

/** What GET …/config answers. Passwords never leave: they read as asterisks. */
export function configView(guest: Guest, current: boolean): Record<string, string | number> {
  const out: Record<string, string | number> = {};
  const merged: Config = current ? { ...guest.config } : { ...guest.config, ...guest.pending };
  if (!current) for (const key of guest.pendingDelete) delete merged[key];
  for (const [key, value] of Object.entries(merged)) {
    out[key] = key === "cipassword" ? "**********" : typedValue(guest.kind, key, value);
  }
  out["digest"] = digestOf(guest);
  return out;
}

export function pendingView(guest: Guest): Record<string, string | number>[] {
  const hide = (key: string, value: string): string | number =>
    key === "cipassword" ? "**********" : typedValue(guest.kind, key, value);
  const keys = new Set([...Object.keys(guest.config), ...Object.keys(guest.pending)]);
  return [...keys].sort().map((key) => {
    const row: Record<string, string | number> = { key };
    const value = guest.config[key];
    const pending = guest.pending[key];
    if (value !== undefined) row["value"] = hide(key, value);
    if (pending !== undefined) row["pending"] = hide(key, pending);
    if (guest.pendingDelete.includes(key)) row["delete"] = 1;
    return row;
  });
}

/** Firewall, access and pool entries go with the guest. */
export function forgetGuest(state: LabState, vmid: number): void {
  delete state.guests[String(vmid)];
  state.access.acl = state.access.acl.filter((entry) => entry.path !== `/vms/${vmid}`);
  for (const pool of Object.values(state.pools)) pool.vms = pool.vms.filter((id) => id !== vmid);
}

export function addToPool(state: LabState, vmid: number, pool: string | undefined): void {
  const entry = pool === undefined ? undefined : state.pools[pool];
  if (entry && !entry.vms.includes(vmid)) entry.vms.push(vmid);
}
