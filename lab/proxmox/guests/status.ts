/** What status/current and the lists answer. Source: qemu-server src/PVE/QemuServer.pm (vmstatus), pve-container src/PVE/LXC.pm (vmstatus). */
import { type Guest, type LabState, MIB } from "../core/state.ts";
import { agentEnabled, balloonMiB, cpuLoad, diskBytes, memoryMiB, usedMemoryBytes } from "./run.ts";

export type StatusRow = Record<string, string | number | object>;

export function guestStatus(state: LabState, guest: Guest, nowMs: number): StatusRow {
  const config = guest.config;
  const up = guest.run.status !== "stopped";
  const uptime = up ? Math.floor((nowMs - (guest.run.startedAtMs ?? nowMs)) / 1000) : 0;
  const row: StatusRow = {
    vmid: guest.vmid,
    name: guest.kind === "qemu" ? (config["name"] ?? `VM ${guest.vmid}`) : (config["hostname"] ?? `CT${guest.vmid}`),
    status: up ? "running" : "stopped",
    cpus: cpuCount(state, guest),
    cpu: cpuLoad(guest, nowMs),
    maxmem: memoryMiB(config) * MIB,
    mem: usedMemoryBytes(guest, nowMs),
    maxdisk: diskBytes(state, guest),
    disk: 0,
    uptime,
    netin: uptime * 512,
    netout: uptime * 384,
    diskread: uptime * 1024,
    diskwrite: uptime * 2048,
  };
  if (guest.run.pid !== undefined) row["pid"] = guest.run.pid;
  if (config["lock"] !== undefined) row["lock"] = config["lock"];
  if (config["tags"] !== undefined) row["tags"] = config["tags"];
  if (config["template"] === "1") row["template"] = 1;
  if (guest.kind === "lxc") {
    row["type"] = "lxc";
    row["maxswap"] = Number(config["swap"] ?? 512) * MIB;
    row["swap"] = 0;
    row["vmid"] = guest.vmid;
  }
  return row;
}

function cpuCount(state: LabState, guest: Guest): number {
  const config = guest.config;
  if (guest.kind === "lxc") return Number(config["cores"] ?? config["cpulimit"] ?? state.node.cpu.threads);
  const all = Number(config["sockets"] ?? 1) * Number(config["cores"] ?? 1);
  return Number(config["vcpus"] ?? Math.min(all, state.node.cpu.threads));
}

export function qemuStatusFull(state: LabState, guest: Guest, nowMs: number): StatusRow {
  const row = guestStatus(state, guest, nowMs);
  row["qmpstatus"] = guest.run.status;
  row["ha"] = { managed: 0 };
  if (agentEnabled(guest.config)) row["agent"] = 1;
  if (guest.config["balloon"] !== undefined && guest.config["balloon"] !== "0") {
    row["balloon_min"] = Number(guest.config["balloon"]) * MIB;
    row["shares"] = Number(guest.config["shares"] ?? 1000);
  }
  if (guest.run.status !== "stopped") {
    const actual = balloonMiB(guest, nowMs) * MIB;
    row["balloon"] = actual;
    row["freemem"] = actual - usedMemoryBytes(guest, nowMs);
    row["ballooninfo"] = {
      actual,
      max_mem: memoryMiB(guest.run.boot ?? guest.config) * MIB,
      free_mem: actual - usedMemoryBytes(guest, nowMs),
      total_mem: actual,
    };
    row["running-machine"] = `pc-${guest.config["machine"]?.includes("q35") ? "q35" : "i440fx"}-10.1+pve0`;
    row["running-qemu"] = "10.1.2";
  }
  return row;
}
