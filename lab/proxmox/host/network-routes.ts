/**
 * The host's network: changes are staged in interfaces.new and take effect with a reload, which is a task.
 * Source: pve-manager PVE/API2/Network.pm.
 */
import { allowed, need, needAny } from "../access/permissions.ts";
import { isRoot } from "../access/identity.ts";
import { paramError } from "../core/errors.ts";
import { splitList } from "../core/property.ts";
import type { Context, Route } from "../core/router.ts";
import type { Iface, LabState } from "../core/state.ts";

const API = "pve-manager@14a22df3 PVE/API2/Network.pm";

const OPTIONS = `address address6 autostart bond-primary bond_mode bond_xmit_hash_policy bridge_ports bridge_vids
  bridge_vlan_aware cidr cidr6 comments comments6 gateway gateway6 mtu netmask netmask6 ovs_bonds ovs_bridge ovs_options
  ovs_ports ovs_tag slaves vlan-id vlan-raw-device`;

const NUMBERS = new Set(["autostart", "bridge_vlan_aware", "active", "exists"]);

function view(iface: Iface, live: Iface | undefined, priority: number): Record<string, unknown> {
  const out: Record<string, unknown> = { iface: iface.iface, type: iface.type, priority, families: families(iface) };
  out["method"] = iface.options["method"] ?? "manual";
  out["method6"] = iface.options["method6"] ?? "manual";
  for (const [key, value] of Object.entries(iface.options)) out[key] = NUMBERS.has(key) ? Number(value) : value;
  if (iface.type === "bridge") {
    out["bridge_stp"] ??= "off";
    out["bridge_fd"] ??= "0";
  }
  // PVE::INotify derives both from the name of a VLAN interface (`vmbr1.10`) when they are not given.
  const [, device, tag] = iface.type === "vlan" ? (/^(.+)\.(\d+)$/.exec(iface.iface) ?? []) : [];
  if (device !== undefined) out["vlan-raw-device"] ??= device;
  if (tag !== undefined) out["vlan-id"] ??= tag;
  if (live) out["active"] = 1;
  if (iface.physical) out["exists"] = 1;
  return out;
}

function families(iface: Iface): string[] {
  const list = [];
  if (iface.options["address6"] === undefined || iface.options["address"] !== undefined) list.push("inet");
  if (iface.options["address6"] !== undefined) list.push("inet6");
  return list;
}

function canSee({ state, identity }: Context, iface: Iface): boolean {
  if (isRoot(identity) || (iface.type !== "bridge" && iface.type !== "OVSBridge")) return true;
  const path = `/sdn/zones/localnetwork/${iface.iface}`;
  return ["SDN.Audit", "SDN.Use"].some((p) => allowed(state, identity, path, p));
}

function needModify({ state, identity }: Context): void {
  need(state, identity, `/nodes/${state.node.name}`, ["Sys.Modify"]);
}

/** `cidr` and `address` + `netmask` say the same; one that contradicts the other is refused. */
function mapCidr(options: Record<string, string>): void {
  for (const suffix of ["", "6"]) {
    const cidr = options[`cidr${suffix}`];
    if (cidr === undefined) {
      const address = options[`address${suffix}`];
      const mask = options[`netmask${suffix}`];
      if (address !== undefined && mask !== undefined) options[`cidr${suffix}`] = `${address}/${mask}`;
      continue;
    }
    const [address = "", mask = ""] = cidr.split("/");
    const valid = suffix === "" ? /^(\d{1,3}\.){3}\d{1,3}$/.test(address) && Number(mask) <= 32 : address.includes(":");
    if (!valid || mask === "")
      paramError({ [`cidr${suffix}`]: "invalid format - value does not look like a valid network configuration" });
    if ((options[`address${suffix}`] ?? address) !== address)
      paramError({ [`address${suffix}`]: `address${suffix} conflicts with cidr${suffix}` });
    options[`address${suffix}`] = address;
    options[`netmask${suffix}`] = mask;
  }
  options["method"] = options["address"] === undefined ? "manual" : "static";
  options["method6"] = options["address6"] === undefined ? "manual" : "static";
}

function checkConflicts(state: LabState, name: string, options: Record<string, string>): void {
  const ports = splitList(options["bridge_ports"]).filter((port) => port !== "none");
  for (const other of Object.values(state.network.staged)) {
    if (other.iface === name) continue;
    if (options["gateway"] !== undefined && other.options["gateway"] !== undefined) {
      paramError({ gateway: `Default gateway already exists on interface '${other.iface}'.` });
    }
    for (const port of ports) {
      if (splitList(other.options["bridge_ports"]).includes(port)) {
        paramError({ bridge_ports: `${port} is already used on interface '${other.iface}'.` });
      }
    }
  }
  if (options["bridge_vids"] !== undefined) options["bridge_vids"] = splitList(options["bridge_vids"]).join(" ");
  if (options["mtu"] !== undefined && (Number(options["mtu"]) < 1280 || Number(options["mtu"]) > 65_520)) {
    paramError({ mtu: "value must have a minimum value of 1280 and a maximum value of 65520" });
  }
}

function withNewline(options: Record<string, string>): void {
  // Comments are lines of the file: they are read back with their line end.
  for (const key of ["comments", "comments6"]) {
    const text = options[key];
    if (text !== undefined && text !== "" && !text.endsWith("\n")) options[key] = `${text}\n`;
  }
}

function create(context: Context): null {
  needModify(context);
  const { iface = "", type = "", ...options } = context.params;
  const errors: Record<string, string> = {};
  if (!/^[a-zA-Z][a-zA-Z0-9_]{1,20}([:.]\d+)?$/.test(iface)) {
    errors["iface"] = `invalid format - value '${iface}' does not look like a valid network interface name`;
  }
  if (!/^(bridge|bond|eth|alias|vlan|fabric|OVSBridge|OVSBond|OVSPort|OVSIntPort|unknown)$/.test(type)) {
    errors["type"] = `value '${type}' does not have a value in the enumeration`;
  }
  if (Object.keys(errors).length > 0) paramError(errors);
  const staged = context.state.network.staged;
  if (staged[iface]) paramError({ iface: "interface already exists" });
  checkConflicts(context.state, iface, options);
  mapCidr(options);
  withNewline(options);
  if (type === "bridge") options["bridge_ports"] ??= "";
  staged[iface] = { iface, type, physical: false, options };
  context.event("network-stage", { iface, change: "create" });
  return null;
}

function update(context: Context): null {
  needModify(context);
  const name = context.path["iface"] ?? "";
  const { type = "", delete: remove, iface: _iface, ...options } = context.params;
  const current = context.state.network.staged[name];
  if (!current) paramError({ iface: "interface does not exist" });
  const kept = { ...current.options };
  for (const key of splitList(remove)) {
    delete kept[key];
    if (key === "cidr") for (const part of ["address", "netmask"]) delete kept[part];
    if (key === "cidr6") for (const part of ["address6", "netmask6"]) delete kept[part];
  }
  if (options["cidr"] !== undefined) for (const part of ["address", "netmask"]) delete kept[part];
  if (options["cidr6"] !== undefined) for (const part of ["address6", "netmask6"]) delete kept[part];
  const merged = { ...kept, ...options };
  checkConflicts(context.state, name, merged);
  mapCidr(merged);
  withNewline(merged);
  context.state.network.staged[name] = { ...current, type, options: merged };
  context.event("network-stage", { iface: name, change: "update" });
  return null;
}

export const networkRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/nodes/{node}/network",
    params: "type",
    source: `${API} (index); bpg v0.111.1 proxmox/nodes/network_types.go`,
    handle: (context) => {
      const { live, staged } = context.state.network;
      const filter = context.params["type"];
      return Object.values(staged)
        .filter((i) => i.type !== "loopback")
        .filter(
          (i) =>
            filter === undefined ||
            i.type === filter ||
            (/^any(_local)?_bridge$/.test(filter) && i.type.toLowerCase().endsWith("bridge")),
        )
        .filter((i) => canSee(context, i))
        .map((iface, n) => view(iface, live[iface.iface], n + 2));
    },
  },
  {
    method: "POST",
    path: "/nodes/{node}/network",
    params: `iface! type! ${OPTIONS}`,
    source: `${API} (create_network)`,
    handle: create,
  },
  {
    method: "PUT",
    path: "/nodes/{node}/network",
    params: "regenerate-frr",
    source: `${API} (reload_network_config); bpg v0.111.1 proxmox/nodes/network.go (ReloadNetworkConfiguration)`,
    handle: (context) => {
      needModify(context);
      context.event("network-reload", {});
      return context.task({ type: "srvreload", id: "networking", work: { kind: "network-reload" } });
    },
  },
  {
    method: "DELETE",
    path: "/nodes/{node}/network",
    params: "",
    source: `${API} (revert_network_changes)`,
    handle: (context) => {
      needModify(context);
      context.state.network.staged = structuredClone(context.state.network.live);
      return null;
    },
  },
  {
    method: "GET",
    path: "/nodes/{node}/network/{iface}",
    params: "",
    source: `${API} (network_config)`,
    handle: (context) => {
      const { state, identity } = context;
      needAny(state, identity, `/nodes/${state.node.name}`, ["Sys.Audit"]);
      const name = context.path["iface"] ?? "";
      const iface = state.network.staged[name];
      if (!iface) paramError({ iface: "interface does not exist" });
      return view(iface, state.network.live[name], 2);
    },
  },
  {
    method: "PUT",
    path: "/nodes/{node}/network/{iface}",
    params: `type! iface delete ${OPTIONS}`,
    source: `${API} (update_network)`,
    handle: update,
  },
  {
    method: "DELETE",
    path: "/nodes/{node}/network/{iface}",
    params: "",
    source: `${API} (delete_network)`,
    handle: (context) => {
      needModify(context);
      const name = context.path["iface"] ?? "";
      const iface = context.state.network.staged[name];
      if (!iface) paramError({ iface: "interface does not exist" });
      // A physical device loses its stanza and stays visible.
      if (iface.physical) iface.options = { method: "manual" };
      else delete context.state.network.staged[name];
      context.event("network-stage", { iface: name, change: "delete" });
      return null;
    },
  },
];
