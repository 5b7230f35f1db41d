/** The node: version, status, time, names, capabilities. */
import { need } from "../access/permissions.ts";
import { memoryInUseMiB } from "../guests/run.ts";
import { space } from "../guests/volumes.ts";
import { sha1 } from "../core/property.ts";
import type { Context, Route } from "../core/router.ts";
import { MIB } from "../core/state.ts";
import { paramError } from "../core/errors.ts";

export const PVE_VERSION = { release: "9.1", version: "9.1.2", repoid: "1ba5a1f9a1b2c3d4" };

const NODES = "pve-manager@14a22df3 PVE/API2/Nodes.pm";

function auditNode({ state, identity }: Context): void {
  need(state, identity, `/nodes/${state.node.name}`, ["Sys.Audit"]);
}

export function nodeRow(context: Context): Record<string, string | number> {
  const { state, env } = context;
  const uptime = Math.max(1, Math.floor((env.nowMs - state.node.bootedAtMs) / 1000));
  const local = state.storages["local"];
  const disk = local ? space(state, local) : { total: 0, used: 0 };
  return {
    id: `node/${state.node.name}`,
    node: state.node.name,
    type: "node",
    status: "online",
    cpu: 0.02,
    maxcpu: state.node.cpu.threads,
    mem: Math.round(memoryInUseMiB(state, env.nowMs)) * MIB,
    maxmem: state.node.memoryMiB * MIB,
    disk: disk.used,
    maxdisk: disk.total,
    uptime,
    level: "",
    ssl_fingerprint: "",
  };
}

function status(context: Context): unknown {
  auditNode(context);
  const { state, env } = context;
  const { cpu } = state.node;
  const total = state.node.memoryMiB * MIB;
  const used = Math.round(memoryInUseMiB(state, env.nowMs)) * MIB;
  const row = nodeRow(context);
  return {
    cpu: 0.02,
    wait: 0,
    idle: 0,
    loadavg: ["0.42", "0.38", "0.31"],
    uptime: row["uptime"],
    cpuinfo: {
      model: cpu.model,
      sockets: cpu.sockets,
      cores: cpu.cores,
      cpus: cpu.threads,
      mhz: String(cpu.mhz),
      hvm: "1",
      user_hz: 100,
      flags: "fpu vme avx avx2 svm aes",
    },
    memory: { total, used, free: total - used, available: total - used },
    swap: { total: 0, used: 0, free: 0 },
    rootfs: { total: row["maxdisk"], used: row["disk"], free: 0, avail: Number(row["maxdisk"]) - Number(row["disk"]) },
    ksm: { shared: 0 },
    kversion: "Linux 6.17.2-1-pve #1 SMP PREEMPT_DYNAMIC",
    pveversion: `pve-manager/${PVE_VERSION.version}/${PVE_VERSION.repoid}`,
    "current-kernel": {
      sysname: "Linux",
      release: "6.17.2-1-pve",
      version: "#1 SMP PREEMPT_DYNAMIC",
      machine: "x86_64",
    },
    "boot-info": { mode: "efi", secureboot: 0 },
  };
}

export const nodeRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/version",
    params: "",
    source: "pve-manager@14a22df3 PVE/API2.pm (version); bpg v0.111.1 proxmox/version/version_types.go",
    handle: () => PVE_VERSION,
  },
  {
    method: "GET",
    path: "/nodes",
    params: "",
    source: `${NODES} (index); bpg v0.111.1 proxmox/nodes/nodes_types.go`,
    handle: (context) => [nodeRow(context)],
  },
  { method: "GET", path: "/nodes/{node}/status", params: "", source: `${NODES} (status)`, handle: status },
  {
    method: "GET",
    path: "/nodes/{node}/version",
    params: "",
    source: `${NODES} (version)`,
    handle: () => PVE_VERSION,
  },
  {
    method: "GET",
    path: "/nodes/{node}/time",
    params: "",
    source: `${NODES} (time)`,
    handle: (context) => {
      auditNode(context);
      const time = Math.floor(context.env.nowMs / 1000);
      return { timezone: context.state.node.timezone, time, localtime: time };
    },
  },
  {
    method: "PUT",
    path: "/nodes/{node}/time",
    params: "timezone!",
    source: `${NODES} (set_timezone)`,
    handle: ({ state, identity, params }) => {
      need(state, identity, `/nodes/${state.node.name}`, ["Sys.Modify"]);
      const zone = params["timezone"] ?? "";
      if (!Intl.supportedValuesOf("timeZone").includes(zone) && zone !== "UTC") {
        paramError({ timezone: `No such timezone '${zone}'` });
      }
      state.node.timezone = zone;
    },
  },
  {
    method: "GET",
    path: "/nodes/{node}/dns",
    params: "",
    source: `${NODES} (dns)`,
    handle: (context) => {
      auditNode(context);
      return context.state.node.dns;
    },
  },
  {
    method: "PUT",
    path: "/nodes/{node}/dns",
    params: "search! dns1 dns2 dns3",
    source: `${NODES} (update_dns)`,
    handle: ({ state, identity, params }) => {
      need(state, identity, `/nodes/${state.node.name}`, ["Sys.Modify"]);
      state.node.dns = { search: params["search"] ?? "" };
      for (const key of ["dns1", "dns2", "dns3"] as const) {
        const value = params[key];
        if (value !== undefined) state.node.dns[key] = value;
      }
    },
  },
  {
    method: "GET",
    path: "/nodes/{node}/hosts",
    params: "",
    source: `${NODES} (get_etc_hosts)`,
    handle: (context) => {
      auditNode(context);
      const data = context.state.node.hosts;
      return { data, digest: sha1(data) };
    },
  },
  {
    method: "POST",
    path: "/nodes/{node}/hosts",
    params: "data! digest",
    source: `${NODES} (write_etc_hosts)`,
    handle: ({ state, identity, params }) => {
      need(state, identity, `/nodes/${state.node.name}`, ["Sys.Modify"]);
      state.node.hosts = params["data"] ?? "";
    },
  },
  {
    method: "GET",
    path: "/nodes/{node}/apt/versions",
    params: "",
    source: "pve-manager@14a22df3 PVE/API2/APT.pm (versions)",
    handle: (context) => {
      auditNode(context);
      return [{ Package: "pve-manager", Version: PVE_VERSION.version, CurrentState: "Installed" }];
    },
  },
  {
    method: "GET",
    path: "/nodes/{node}/subscription",
    params: "",
    source: "pve-manager@14a22df3 PVE/API2/Subscription.pm (get)",
    handle: () => ({ status: "notfound", message: "There is no subscription key" }),
  },
  {
    method: "GET",
    path: "/nodes/{node}/capabilities/qemu/machines",
    params: "",
    source: "qemu-server@e6352be6 src/PVE/API2/Qemu/Machine.pm",
    handle: () => [
      { id: "pc-q35-10.1", type: "q35", version: "10.1" },
      { id: "pc-i440fx-10.1", type: "i440fx", version: "10.1" },
    ],
  },
  {
    method: "GET",
    path: "/nodes/{node}/rrddata",
    params: "timeframe! cf",
    source: `${NODES} (rrddata)`,
    handle: (context) => {
      auditNode(context);
      const row = nodeRow(context);
      return [
        { time: Math.floor(context.env.nowMs / 1000), cpu: row["cpu"], memused: row["mem"], memtotal: row["maxmem"] },
      ];
    },
  },
];
