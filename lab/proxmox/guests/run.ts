/**
 * Running guests: what a start needs, what memory they hold, what they report.
 *
 * Sources: qemu-server src/PVE/QemuServer.pm (vm_start_nolock, vmstatus), src/PVE/QemuServer/PCI.pm
 * (reserve_pci_usage, prepare_pci_device); pve-container src/PVE/LXC.pm (vmstatus); pve-manager PVE/Service/pvestatd.pm
 * (auto_balloning: at most 100 MiB every 10 seconds).
 */
import { die } from "../core/errors.ts";
import { parseProperty } from "../core/property.ts";
import { type Config, type Guest, type LabState, MIB } from "../core/state.ts";
import { isCdrom, isCloudInit, parseDrive, referencedVolumes } from "./drives.ts";
import { isDrive } from "./schema.ts";

export function freeVolume(state: LabState, volid: string): void {
  delete state.volumes[volid];
}

const STEP_MIB = 100;
const STEP_MS = 10_000;

export function memoryMiB(config: Config): number {
  return Number(parseProperty(config["memory"] ?? "512", "current")["current"] ?? 512);
}

/** What the balloon leaves to the guest now. A guest with a passed-through device holds all of its memory. */
export function balloonMiB(guest: Guest, nowMs: number): number {
  const config = guest.run.boot ?? guest.config;
  const balloon = guest.run.balloon;
  if (guest.kind === "lxc" || !balloon || config["balloon"] === "0" || pciOf(config).length > 0)
    return memoryMiB(config);
  if (balloon.atOnce) return balloon.targetMiB;
  const steps = Math.max(0, Math.floor((nowMs - balloon.sinceMs) / STEP_MS)) * STEP_MIB;
  const distance = balloon.targetMiB - balloon.fromMiB;
  return balloon.fromMiB + Math.sign(distance) * Math.min(Math.abs(distance), steps);
}

export function setBalloonTarget(guest: Guest, targetMiB: number, atOnce: boolean, nowMs: number): void {
  const fromMiB = balloonMiB(guest, nowMs);
  guest.run.balloon = { fromMiB, targetMiB, sinceMs: nowMs, atOnce };
}

export function memoryInUseMiB(state: LabState, nowMs: number): number {
  const guests = Object.values(state.guests).filter((g) => g.run.status !== "stopped");
  return state.node.hostMemoryMiB + guests.reduce((sum, guest) => sum + balloonMiB(guest, nowMs), 0);
}

function pciOf(config: Config): string[] {
  return Object.keys(config)
    .filter((key) => /^hostpci\d+$/.test(key))
    .map((key) => config[key] ?? "");
}

/** Addresses a `hostpciN` stands for: `01:00` without a function is every function of that slot. */
export function pciAddresses(state: LabState, value: string): string[] {
  const device = parseProperty(value, "host");
  const paths: string[] = [];
  const mapping = device["mapping"];
  if (mapping !== undefined) {
    const entry = state.mappings.pci[mapping];
    const here = (entry?.map ?? []).filter((map) => parseProperty(map)["node"] === state.node.name);
    if (here.length === 0) die(`PCI device mapping not found for '${mapping}'`);
    for (const map of here) {
      const parsed = parseProperty(map);
      checkMappedDevice(state, mapping, parsed);
      paths.push(...(parsed["path"] ?? "").split(";"));
    }
  } else paths.push(...(device["host"] ?? "").split(";"));
  return paths.flatMap((path) => {
    const full = /^[0-9a-f]{4}:/i.test(path) ? path : `0000:${path}`;
    const found = state.node.pci.filter((d) => d.id === full || d.id.startsWith(`${full}.`)).map((d) => d.id);
    if (found.length === 0) die(`no PCI device found for '${path}'`);
    return found;
  });
}

function checkMappedDevice(state: LabState, mapping: string, map: Record<string, string>): void {
  const first = (map["path"] ?? "").split(";")[0] ?? "";
  const device = state.node.pci.find((d) => d.id === first || d.id === `${first}.0`);
  if (!device) die(`PCI device mapping invalid (hardware probably changed): pci device '${first}' not found`);
  const id = `${device.vendor.slice(2)}:${device.device.slice(2)}`;
  if (map["id"] !== undefined && map["id"] !== id) {
    die(
      `PCI device mapping invalid (hardware probably changed): '${mapping}': 'id' does not match: expected '${id}', got '${map["id"]}'`,
    );
  }
}

/** Which running VM holds each PCI device. */
export function pciHolders(state: LabState): Map<string, number> {
  const holders = new Map<string, number>();
  for (const guest of Object.values(state.guests)) {
    if (guest.run.status === "stopped" || guest.kind !== "qemu") continue;
    for (const value of pciOf(guest.run.boot ?? {})) {
      try {
        for (const address of pciAddresses(state, value)) holders.set(address, guest.vmid);
      } catch {
        // The mapping was removed while the VM runs: its devices are no longer known by name.
      }
    }
  }
  return holders;
}

function bridgesOf(guest: Guest): string[] {
  return Object.entries(guest.config)
    .filter(([key]) => /^net\d+$/.test(key))
    .map(([, value]) => parseProperty(value, "model")["bridge"])
    .filter((bridge) => bridge !== undefined);
}

/** Everything that stops a guest from starting, checked in the order Proxmox meets it. */
export function checkStart(
  state: LabState,
  guest: Guest,
  nowMs: number,
  snippetExists: (volid: string) => boolean,
): void {
  const name = guest.kind === "qemu" ? "VM" : "CT";
  if (guest.config["template"] === "1")
    die(`you can't start a ${guest.kind === "qemu" ? "vm" : "CT"} if it's a template`);
  for (const volid of referencedVolumes(guest)) {
    if (state.volumes[volid] === undefined && !snippetExists(volid)) die(`volume '${volid}' does not exist`);
  }
  for (const part of Object.values(parseProperty(guest.config["cicustom"] ?? ""))) {
    if (!snippetExists(part)) die(`volume '${part}' does not exist`);
  }
  for (const bridge of bridgesOf(guest)) {
    const iface = state.network.live[bridge];
    if (iface?.type !== "bridge" && iface?.type !== "OVSBridge") die(`bridge '${bridge}' does not exist`);
  }
  const holders = pciHolders(state);
  for (const value of pciOf(guest.config)) {
    for (const address of pciAddresses(state, value)) {
      const holder = holders.get(address);
      if (holder !== undefined) die(`PCI device '${address}' already in use by VMID '${holder}'`);
    }
  }
  const cpus = Number(guest.config["cores"] ?? 1) * Number(guest.config["sockets"] ?? 1);
  if (guest.kind === "qemu" && cpus > state.node.cpu.threads) {
    die(`MAX ${state.node.cpu.threads} vcpus allowed per VM on this node`);
  }
  const free = state.node.memoryMiB - memoryInUseMiB(state, nowMs);
  if (memoryMiB(guest.config) > free) {
    die(
      guest.kind === "qemu"
        ? `start failed: QEMU exited with code 1`
        : `${name} ${guest.vmid}: cannot allocate ${memoryMiB(guest.config)} MiB, ${Math.floor(free)} MiB free`,
    );
  }
}

export function startGuest(state: LabState, guest: Guest, nowMs: number): void {
  const pid = state.nextPid;
  state.nextPid += 1;
  const memory = memoryMiB(guest.config);
  guest.run = {
    status: "running",
    pid,
    startedAtMs: nowMs,
    boot: { ...guest.config },
    balloon: { fromMiB: memory, targetMiB: memory, sinceMs: nowMs, atOnce: true },
  };
}

export function stopGuest(guest: Guest): void {
  guest.run = { status: "stopped" };
}

/** Whether the agent answers: enabled, a cloud-init drive installed it, and the boot is over. */
export function agentAnswers(guest: Guest, nowMs: number, bootDelayMs: number): boolean {
  const config = guest.run.boot ?? {};
  const seeded =
    setUpByHand(guest) || Object.keys(config).some((key) => isDrive(key) && isCloudInit(parseDrive(config[key] ?? "")));
  return (
    guest.run.status === "running" &&
    agentEnabled(config) &&
    seeded &&
    nowMs - (guest.run.startedAtMs ?? nowMs) >= bootDelayMs
  );
}

/** Whether somebody installed the guest agent without cloud-init: the lab is told by the tag `agent-installed`. */
export function setUpByHand(guest: Guest): boolean {
  return (guest.run.boot?.["tags"] ?? "").split(/[;, ]/).includes("agent-installed");
}

export function agentEnabled(config: Config): boolean {
  return /^(1|on|yes|true)$/i.test(parseProperty(config["agent"] ?? "0", "enabled")["enabled"] ?? "0");
}

export function diskBytes(state: LabState, guest: Guest): number {
  for (const [key, value] of Object.entries(guest.config)) {
    const drive = parseDrive(value);
    if ((isDrive(key) || key === "rootfs") && !isCdrom(drive) && !isCloudInit(drive) && !/^(efi|tpm)/.test(key)) {
      return state.volumes[drive.file]?.sizeBytes ?? 0;
    }
  }
  return 0;
}

/** A plausible load that depends on the guest and the minute only, so that two readers see the same. */
export function cpuLoad(guest: Guest, nowMs: number): number {
  if (guest.run.status !== "running") return 0;
  const phase = Math.sin(nowMs / 60_000 + guest.vmid);
  return Math.round((0.06 + 0.05 * phase) * 1e4) / 1e4;
}

export function usedMemoryBytes(guest: Guest, nowMs: number): number {
  return guest.run.status === "stopped" ? 0 : Math.round(balloonMiB(guest, nowMs) * 0.6) * MIB;
}
