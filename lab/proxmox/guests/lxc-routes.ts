/** Containers. Sources: pve-container src/PVE/API2/LXC.pm, src/PVE/API2/LXC/{Config,Status}.pm. */
import { allowed, need, needGuest } from "../access/permissions.ts";
import { isRoot } from "../access/identity.ts";
import { die, paramError, permError } from "../core/errors.ts";
import { isTrue, parseSize, splitList } from "../core/property.ts";
import type { Context, Route } from "../core/router.ts";
import type { Guest } from "../core/state.ts";
import type { TaskWork } from "../core/work.ts";
import { guestInterfaces } from "./addresses.ts";
import { parseDrive } from "./drives.ts";
import { checkContainerOptions, updateContainer } from "./lxc-config.ts";
import {
  checkDigest,
  checkLock,
  checkProtection,
  configView,
  getGuest,
  isTemplate,
  pendingView,
  reserve,
  setLock,
} from "./model.ts";
import { checkVolumeAccess } from "./qemu-access.ts";
import { CONFIG_PRIVILEGES, vmidOf } from "./qemu-routes.ts";
import { LXC_OPTIONS } from "./schema.ts";
import { guestStatus } from "./status.ts";
import { storageConfig, supports } from "./volumes.ts";

const API = "pve-container@94f5585 src/PVE/API2/LXC.pm";
const STATUS = "pve-container@94f5585 src/PVE/API2/LXC/Status.pm";
const CONFIG = "pve-container@94f5585 src/PVE/API2/LXC/Config.pm";

function container(context: Context, privileges: readonly string[]): Guest {
  const vmid = vmidOf(context.path["vmid"]);
  need(context.state, context.identity, `/vms/${vmid}`, privileges);
  if (isTrue(context.params["skiplock"]) && !isRoot(context.identity))
    paramError({ skiplock: "Only root may use this option." });
  return getGuest(context.state, "lxc", vmid);
}

const CONTROL = [
  "vmid",
  "pool",
  "start",
  "storage",
  "force",
  "unique",
  "bwlimit",
  "ignore-unpack-errors",
  "restore",
  "ha-managed",
];

function checkContainerFormats(params: Record<string, string>): void {
  const errors: Record<string, string> = {};
  const int = (key: string, min: number): void => {
    const value = params[key];
    if (value !== undefined && (!/^\d+$/.test(value) || Number(value) < min))
      errors[key] = `value must have a minimum value of ${min}`;
  };
  int("memory", 16);
  int("swap", 0);
  int("cores", 1);
  if (
    params["hostname"] !== undefined &&
    !/^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*$/.test(params["hostname"])
  ) {
    errors["hostname"] = "invalid format - value does not look like a valid DNS name";
  }
  if (Object.keys(errors).length > 0) paramError(errors);
}

function create({ state, identity, params, task, event }: Context): string {
  const vmid = vmidOf(params["vmid"]);
  const pool = params["pool"];
  const storage = params["storage"] ?? "local";
  if (isTrue(params["restore"])) die("restoring from a backup is not part of the lab");
  const may =
    allowed(state, identity, `/vms/${vmid}`, "VM.Allocate") ||
    (pool !== undefined && allowed(state, identity, `/pool/${pool}`, "VM.Allocate"));
  if (!may) permError("");
  if (pool !== undefined && !state.pools[pool]) permError(`pool '${pool}' does not exist`);
  if (isTrue(params["start"])) needGuest(state, identity, vmid, pool, ["VM.PowerMgmt"]);
  const options = Object.fromEntries(Object.entries(params).filter(([key]) => !CONTROL.includes(key)));
  checkContainerFormats(options);
  const who = { state, identity, vmid, pool };
  const template = options["ostemplate"] ?? "";
  checkVolumeAccess(who, template);
  if (!state.volumes[template]) die(`unable to create CT ${vmid} - volume '${template}' does not exist`);
  const { ostemplate: _template, password: _password, "ssh-public-keys": _keys, ...config } = options;
  checkContainerOptions(state, identity, vmid, pool, config, [], {});
  const target =
    /^([^:]+):\d/.exec(
      parseDrive(options["rootfs"] ?? "").options["volume"] ?? parseDrive(options["rootfs"] ?? "").file,
    )?.[1] ?? storage;
  if (!supports(storageConfig(state, target), "rootdir")) die(`storage '${target}' does not support CT rootdirs`);
  need(state, identity, `/storage/${target}`, ["Datastore.AllocateSpace"]);
  reserve(state, "lxc", vmid, "create");
  event("ct-create", { vmid });
  const { password: _secret, ...kept } = options;
  return task({
    type: "vzcreate",
    id: String(vmid),
    work: {
      kind: "lxc-create",
      vmid,
      params: kept,
      start: isTrue(params["start"]),
      storage,
      ...(pool === undefined ? {} : { pool }),
    },
  });
}

function update(context: Context): null {
  const { state, identity, params, env, fullStorages } = context;
  const vmid = vmidOf(context.path["vmid"]);
  needGuest(state, identity, vmid, undefined, CONFIG_PRIVILEGES, true);
  const guest = getGuest(state, "lxc", vmid);
  const { digest, delete: removeText, revert: _revert, ...options } = params;
  const remove = splitList(removeText);
  if (remove.length + Object.keys(options).length === 0) die("no options specified");
  checkContainerFormats(options);
  checkContainerOptions(state, identity, vmid, undefined, options, remove, guest.config);
  checkDigest(guest, digest);
  checkLock(guest);
  updateContainer(state, guest, options, remove, { env, fullStorages });
  context.event("ct-config", { vmid, options: [...Object.keys(options), ...remove.map((k) => `-${k}`)].join(" ") });
  return null;
}

function power(
  name: string,
  params: string,
  type: string,
  check: (guest: Guest) => void,
  work: (vmid: number) => TaskWork,
): Route {
  return {
    method: "POST",
    path: `/nodes/{node}/lxc/{vmid}/status/${name}`,
    params,
    source: `${STATUS} (vm_${name})`,
    handle: (context) => {
      const guest = container(context, ["VM.PowerMgmt"]);
      checkLock(guest);
      check(guest);
      context.event(`ct-${name}`, { vmid: guest.vmid });
      return context.task({ type, id: String(guest.vmid), work: work(guest.vmid) });
    },
  };
}

const mustRun = (guest: Guest): void => {
  if (guest.run.status === "stopped") die(`CT ${guest.vmid} not running`);
};

export const lxcRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/nodes/{node}/lxc",
    params: "",
    source: `${API} (vmlist)`,
    handle: ({ state, identity, env }) =>
      Object.values(state.guests)
        .filter((g) => g.kind === "lxc" && allowed(state, identity, `/vms/${g.vmid}`, "VM.Audit"))
        .map((g) => guestStatus(state, g, env.nowMs)),
  },
  {
    method: "POST",
    path: "/nodes/{node}/lxc",
    params: `vmid! ostemplate! pool start storage force unique bwlimit ignore-unpack-errors restore ha-managed password ssh-public-keys ${LXC_OPTIONS}`,
    source: `${API} (create_vm); bpg v0.111.1 proxmox/nodes/containers/containers_types.go`,
    handle: create,
  },
  {
    method: "DELETE",
    path: "/nodes/{node}/lxc/{vmid}",
    params: "force purge destroy-unreferenced-disks",
    source: `${API} (destroy_vm)`,
    handle: (context) => {
      const guest = container(context, ["VM.Allocate"]);
      checkProtection(guest, `can't remove CT ${guest.vmid}`);
      const force = isTrue(context.params["force"]);
      if (guest.run.status !== "stopped" && !force) die(`unable to destroy CT ${guest.vmid} - container is running`);
      if (force) guest.run = { status: "stopped" };
      setLock(guest, "destroyed");
      context.event("ct-destroy", { vmid: guest.vmid });
      return context.task({
        type: "vzdestroy",
        id: String(guest.vmid),
        work: {
          kind: "guest-destroy",
          vmid: guest.vmid,
          unreferenced: isTrue(context.params["destroy-unreferenced-disks"]),
          purge: isTrue(context.params["purge"]),
        },
      });
    },
  },
  {
    method: "GET",
    path: "/nodes/{node}/lxc/{vmid}/config",
    params: "current snapshot",
    source: `${CONFIG} (vm_config); bpg v0.111.1 proxmox/nodes/containers/containers_types.go (GetResponseData)`,
    handle: (context) => configView(container(context, ["VM.Audit"]), isTrue(context.params["current"])),
  },
  {
    method: "PUT",
    path: "/nodes/{node}/lxc/{vmid}/config",
    params: `digest delete revert ${LXC_OPTIONS}`,
    source: `${CONFIG} (update_vm)`,
    handle: update,
  },
  {
    method: "GET",
    path: "/nodes/{node}/lxc/{vmid}/pending",
    params: "",
    source: `${API} (vm_pending)`,
    handle: (context) => pendingView(container(context, ["VM.Audit"])),
  },
  {
    method: "GET",
    path: "/nodes/{node}/lxc/{vmid}/status/current",
    params: "",
    source: `${STATUS} (vm_status)`,
    handle: (context) => ({
      ...guestStatus(context.state, container(context, ["VM.Audit"]), context.env.nowMs),
      ha: { managed: 0 },
    }),
  },
  {
    method: "GET",
    path: "/nodes/{node}/lxc/{vmid}/interfaces",
    params: "",
    source: `${API} (ip); bpg v0.111.1 proxmox/nodes/containers/containers_types.go (GetNetworkInterfacesData)`,
    handle: (context) => {
      const guest = container(context, ["VM.Audit"]);
      if (guest.run.status === "stopped") return [];
      return guestInterfaces(guest).map((i) => {
        const first = i["ip-addresses"][0];
        return {
          name: i.name,
          hwaddr: i["hardware-address"],
          "hardware-address": i["hardware-address"],
          "ip-addresses": i["ip-addresses"].map((a) => ({
            ...a,
            "ip-address-type": a["ip-address-type"] === "ipv6" ? "inet6" : "inet",
          })),
          ...(first ? { inet: `${first["ip-address"]}/${first.prefix}` } : {}),
        };
      });
    },
  },
  power(
    "start",
    "skiplock debug",
    "vzstart",
    (guest) => {
      if (guest.run.status !== "stopped") die(`CT ${guest.vmid} already running`);
    },
    (vmid) => ({ kind: "guest-start", vmid }),
  ),
  power("stop", "skiplock overrule-shutdown", "vzstop", mustRun, (vmid) => ({ kind: "guest-stop", vmid, why: "stop" })),
  power("shutdown", "timeout forceStop", "vzshutdown", mustRun, (vmid) => ({
    kind: "guest-stop",
    vmid,
    why: "shutdown",
  })),
  power("reboot", "timeout", "vzreboot", mustRun, (vmid) => ({ kind: "guest-reboot", vmid })),
  power("suspend", "", "vzsuspend", mustRun, (vmid) => ({ kind: "guest-pause", vmid, paused: true })),
  power("resume", "", "vzresume", mustRun, (vmid) => ({ kind: "guest-pause", vmid, paused: false })),
  {
    method: "PUT",
    path: "/nodes/{node}/lxc/{vmid}/resize",
    params: "disk! size! digest",
    source: `${API} (resize_vm)`,
    handle: (context) => {
      const { state, params } = context;
      const guest = container(context, ["VM.Config.Disk"]);
      checkLock(guest);
      checkDigest(guest, params["digest"]);
      const disk = params["disk"] ?? "";
      const volume =
        state.volumes[parseDrive(guest.config[disk] ?? die(`disk '${disk}' does not exist`)).file] ??
        die(`no volume on '${disk}'`);
      const text = params["size"] ?? "";
      const bytes = parseSize(text.replace(/^\+/, "")) ?? die("invalid size string");
      const sizeBytes = text.startsWith("+") ? volume.sizeBytes + bytes : bytes;
      if (sizeBytes < volume.sizeBytes) die("unable to shrink disk size");
      if (sizeBytes === volume.sizeBytes) die("disk is already at specified size");
      return context.task({
        type: "resize",
        id: String(guest.vmid),
        work: { kind: "guest-resize", vmid: guest.vmid, disk, sizeBytes },
      });
    },
  },
  {
    method: "POST",
    path: "/nodes/{node}/lxc/{vmid}/template",
    params: "",
    source: `${API} (template)`,
    handle: (context) => {
      const guest = container(context, ["VM.Allocate"]);
      if (isTemplate(guest)) die("you can't convert a template to a template");
      if (guest.run.status !== "stopped") die("you can't convert a CT to template if the CT is running");
      return context.task({
        type: "vztemplate",
        id: String(guest.vmid),
        work: { kind: "guest-template", vmid: guest.vmid },
      });
    },
  },
  {
    method: "POST",
    path: "/nodes/{node}/lxc/{vmid}/clone",
    params: "newid! hostname description pool snapname storage full target bwlimit",
    source: `${API} (clone_vm)`,
    handle: (context) => {
      const { state, identity, params } = context;
      const guest = container(context, ["VM.Clone"]);
      const newid = vmidOf(params["newid"]);
      need(state, identity, `/vms/${newid}`, ["VM.Allocate"]);
      checkLock(guest);
      reserve(state, "lxc", newid, "clone");
      setLock(guest, "clone");
      return context.task({
        type: "vzclone",
        id: String(guest.vmid),
        work: {
          kind: "guest-clone",
          vmid: guest.vmid,
          newid,
          full: true,
          ...(params["hostname"] === undefined ? {} : { name: params["hostname"] }),
          ...(params["description"] === undefined ? {} : { description: params["description"] }),
          ...(params["storage"] === undefined ? {} : { storage: params["storage"] }),
          ...(params["pool"] === undefined ? {} : { pool: params["pool"] }),
        },
      });
    },
  },
];
