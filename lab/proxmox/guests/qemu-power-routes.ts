/** VMs: power, disks, clones, agent, cloud-init. */
import { allowed, need, needAny } from "../access/permissions.ts";
import { isRoot } from "../access/identity.ts";
import { die, paramError } from "../core/errors.ts";
import { formatSize, isTrue, parseSize } from "../core/property.ts";
import type { Context, Route } from "../core/router.ts";
import type { Guest } from "../core/state.ts";
import type { TaskWork } from "../core/work.ts";
import { isCdrom, parseDrive } from "./drives.ts";
import { guestInterfaces } from "./addresses.ts";
import { checkDigest, checkLock, getGuest, isTemplate, reserve, setLock } from "./model.ts";
import { vmidOf } from "./qemu-routes.ts";
import { agentAnswers, agentEnabled } from "./run.ts";
import { guestStatus, qemuStatusFull } from "./status.ts";
import { storageConfig } from "./volumes.ts";

const API = "qemu-server@e6352be6 src/PVE/API2/Qemu.pm";
const AGENT = "qemu-server@e6352be6 src/PVE/API2/Qemu/Agent.pm, src/PVE/QemuServer/Agent.pm (assert_agent_available)";

function vm(context: Context, privileges: readonly string[]): Guest {
  const vmid = vmidOf(context.path["vmid"]);
  need(context.state, context.identity, `/vms/${vmid}`, privileges);
  const guest = getGuest(context.state, "qemu", vmid);
  if (isTrue(context.params["skiplock"]) && !isRoot(context.identity)) {
    paramError({ skiplock: "Only root may use this option." });
  }
  return guest;
}

function power(
  name: string,
  params: string,
  type: string,
  check: (guest: Guest, context: Context) => void,
  work: (guest: Guest) => TaskWork,
): Route {
  return {
    method: "POST",
    path: `/nodes/{node}/qemu/{vmid}/status/${name}`,
    params,
    source: `${API} (vm_${name})`,
    handle: (context) => {
      const guest = vm(context, ["VM.PowerMgmt"]);
      if (!isTrue(context.params["skiplock"]) && guest.config["lock"] !== "suspended") checkLock(guest);
      check(guest, context);
      context.event(`vm-${name}`, { vmid: guest.vmid });
      return context.task({ type, id: String(guest.vmid), work: work(guest) });
    },
  };
}

const mustRun = (guest: Guest): void => {
  if (guest.run.status === "stopped") die(`VM ${guest.vmid} not running`);
};

function resize(context: Context): string {
  const { state, params } = context;
  const guest = vm(context, ["VM.Config.Disk"]);
  checkDigest(guest, params["digest"]);
  checkLock(guest);
  const disk = params["disk"] ?? "";
  const value = guest.config[disk] ?? die(`disk '${disk}' does not exist`);
  const drive = parseDrive(value);
  if (isCdrom(drive)) die("you can't resize a cdrom");
  const volume = state.volumes[drive.file] ?? die(`disk '${disk}' has no associated volume`);
  const text = params["size"] ?? "";
  const bytes = parseSize(text.replace(/^\+/, ""));
  if (bytes === undefined) paramError({ size: "value does not match the regex pattern" });
  const sizeBytes = text.startsWith("+") ? volume.sizeBytes + bytes : bytes;
  if (sizeBytes < volume.sizeBytes) die("shrinking disks is not supported");
  return context.task({
    type: "resize",
    id: String(guest.vmid),
    log: [`update VM ${guest.vmid}: resize --disk ${disk} --size ${formatSize(sizeBytes)}`],
    work: { kind: "guest-resize", vmid: guest.vmid, disk, sizeBytes },
  });
}

function clone(context: Context): string {
  const { state, identity, params } = context;
  const guest = vm(context, ["VM.Clone"]);
  const newid = vmidOf(params["newid"]);
  const pool = params["pool"];
  const may =
    allowed(state, identity, `/vms/${newid}`, "VM.Allocate") ||
    (pool !== undefined && allowed(state, identity, `/pool/${pool}`, "VM.Allocate"));
  if (!may) need(state, identity, `/vms/${newid}`, ["VM.Allocate"]);
  checkLock(guest);
  const storage = params["storage"];
  if (storage !== undefined) {
    need(state, identity, `/storage/${storage}`, ["Datastore.AllocateSpace"]);
    storageConfig(state, storage);
  }
  if (params["snapname"] !== undefined) die(`snapshot '${params["snapname"]}' does not exist`);
  reserve(state, "qemu", newid, "clone");
  setLock(guest, "clone");
  return context.task({
    type: "qmclone",
    id: String(guest.vmid),
    work: {
      kind: "guest-clone",
      vmid: guest.vmid,
      newid,
      full: isTrue(params["full"]) || !isTemplate(guest),
      ...(params["name"] === undefined ? {} : { name: params["name"] }),
      ...(params["description"] === undefined ? {} : { description: params["description"] }),
      ...(storage === undefined ? {} : { storage }),
      ...(pool === undefined ? {} : { pool }),
    },
  });
}

function moveDisk(context: Context): string {
  const { state, params, identity } = context;
  const guest = vm(context, ["VM.Config.Disk"]);
  const disk = params["disk"] ?? "";
  const storage = params["storage"] ?? die("either set storage or target-vmid, but not both");
  need(state, identity, `/storage/${storage}`, ["Datastore.AllocateSpace"]);
  checkDigest(guest, params["digest"]);
  checkLock(guest);
  const drive = parseDrive(guest.config[disk] ?? die(`disk '${disk}' does not exist`));
  if (isCdrom(drive)) die("you can't move a cdrom");
  if (drive.file.startsWith(`${storage}:`)) die("you can't move to the same storage with same format");
  storageConfig(state, storage);
  return context.task({
    type: "qmmove",
    id: String(guest.vmid),
    work: { kind: "qemu-move-disk", vmid: guest.vmid, disk, storage, remove: isTrue(params["delete"]) },
  });
}

function agent(name: string, method: "GET" | "POST", answer: (guest: Guest, context: Context) => unknown): Route {
  return {
    method,
    path: `/nodes/{node}/qemu/{vmid}/agent/${name}`,
    params: "",
    source: AGENT,
    handle: (context) => {
      const vmid = vmidOf(context.path["vmid"]);
      needAny(context.state, context.identity, `/vms/${vmid}`, ["VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted"]);
      const guest = getGuest(context.state, "qemu", vmid);
      if (!agentEnabled(guest.config)) die("No QEMU guest agent configured");
      if (guest.run.status === "stopped") die(`VM ${vmid} is not running`);
      if (!agentAnswers(guest, context.env.nowMs, context.env.bootDelayMs)) die("QEMU guest agent is not running");
      return { result: answer(guest, context) };
    },
  };
}

export const qemuPowerRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/nodes/{node}/qemu/{vmid}/status/current",
    params: "",
    source: `${API} (vm_status)`,
    handle: (context) => qemuStatusFull(context.state, vm(context, ["VM.Audit"]), context.env.nowMs),
  },
  {
    method: "GET",
    path: "/nodes/{node}/qemu/{vmid}/rrddata",
    params: "timeframe! cf",
    source: `${API} (rrddata)`,
    handle: (context) => [
      {
        time: Math.floor(context.env.nowMs / 1000),
        ...guestStatus(context.state, vm(context, ["VM.Audit"]), context.env.nowMs),
      },
    ],
  },
  power(
    "start",
    "skiplock timeout machine force-cpu migratedfrom migration_network migration_type stateuri targetstorage",
    "qmstart",
    (guest) => {
      if (guest.run.status !== "stopped") die(`VM ${guest.vmid} already running`);
    },
    (guest) => ({ kind: "guest-start", vmid: guest.vmid }),
  ),
  power(
    "stop",
    "skiplock timeout keepActive migratedfrom overrule-shutdown",
    "qmstop",
    () => undefined,
    (guest) => ({
      kind: "guest-stop",
      vmid: guest.vmid,
      why: "stop",
    }),
  ),
  power(
    "shutdown",
    "skiplock timeout keepActive forceStop",
    "qmshutdown",
    () => undefined,
    (guest) => ({
      kind: "guest-stop",
      vmid: guest.vmid,
      why: "shutdown",
    }),
  ),
  power("reboot", "timeout", "qmreboot", mustRun, (guest) => ({ kind: "guest-reboot", vmid: guest.vmid })),
  power("reset", "skiplock", "qmreset", mustRun, (guest) => ({ kind: "qemu-reset", vmid: guest.vmid })),
  power("suspend", "skiplock todisk statestorage", "qmpause", mustRun, (guest) => ({
    kind: "guest-pause",
    vmid: guest.vmid,
    paused: true,
  })),
  power("resume", "skiplock nocheck", "qmresume", mustRun, (guest) => ({
    kind: "guest-pause",
    vmid: guest.vmid,
    paused: false,
  })),
  {
    method: "PUT",
    path: "/nodes/{node}/qemu/{vmid}/resize",
    params: "disk! size! digest skiplock",
    source: `${API} (resize_vm)`,
    handle: resize,
  },
  {
    method: "POST",
    path: "/nodes/{node}/qemu/{vmid}/clone",
    params: "newid! name description pool snapname storage format full target bwlimit",
    source: `${API} (clone_vm)`,
    handle: clone,
  },
  {
    method: "POST",
    path: "/nodes/{node}/qemu/{vmid}/move_disk",
    params: "disk! storage target-vmid target-disk target-digest format delete digest bwlimit",
    source: `${API} (move_vm_disk)`,
    handle: moveDisk,
  },
  {
    method: "POST",
    path: "/nodes/{node}/qemu/{vmid}/template",
    params: "disk",
    source: `${API} (template)`,
    handle: (context) => {
      const guest = vm(context, ["VM.Allocate"]);
      if (guest.snapshots.length > 0) die("unable to create template, because VM contains snapshots");
      if (isTemplate(guest)) die("you can't convert a template to a template");
      if (guest.run.status !== "stopped") die("you can't convert a VM to template if VM is running");
      return context.task({
        type: "qmtemplate",
        id: String(guest.vmid),
        work: { kind: "guest-template", vmid: guest.vmid },
      });
    },
  },
  {
    method: "PUT",
    path: "/nodes/{node}/qemu/{vmid}/cloudinit",
    params: "",
    source: "qemu-server@e6352be6 src/PVE/API2/Qemu.pm (cloudinit_update)",
    handle: (context) => {
      const vmid = vmidOf(context.path["vmid"]);
      needAny(context.state, context.identity, `/vms/${vmid}`, ["VM.Config.Cloudinit"]);
      checkLock(getGuest(context.state, "qemu", vmid));
      return null;
    },
  },
  agent("ping", "POST", () => ({})),
  agent("info", "GET", () => ({ version: "9.2.0", supported_commands: [] })),
  agent("network-get-interfaces", "GET", (guest) => guestInterfaces(guest)),
  agent("get-host-name", "GET", (guest) => ({ "host-name": guest.config["name"] ?? `vm${guest.vmid}` })),
  agent("get-osinfo", "GET", (guest) => ({ id: guest.config["ostype"] ?? "l26", machine: "x86_64" })),
];
