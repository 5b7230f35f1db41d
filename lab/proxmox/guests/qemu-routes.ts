/** VMs: list, create, configure, destroy. */
import { needAny, needGuest, need, allowed } from "../access/permissions.ts";
import { isRoot } from "../access/identity.ts";
import { die, paramError, permError } from "../core/errors.ts";
import { isTrue, splitList } from "../core/property.ts";
import type { Context, Route } from "../core/router.ts";
import type { Config } from "../core/state.ts";
import {
  checkDigest,
  checkLock,
  checkProtection,
  configView,
  getGuest,
  pendingView,
  reserve,
  setLock,
} from "./model.ts";
import * as access from "./qemu-access.ts";
import { checkBalloon, checkFormats, hideSecrets, updateConfig } from "./qemu-config.ts";
import { isDrive, QEMU_OPTIONS } from "./schema.ts";
import { guestStatus } from "./status.ts";

const API = "qemu-server@e6352be6 src/PVE/API2/Qemu.pm";
export const CONFIG_PRIVILEGES = [
  "VM.Config.Disk",
  "VM.Config.CDROM",
  "VM.Config.CPU",
  "VM.Config.Memory",
  "VM.Config.Network",
  "VM.Config.HWType",
  "VM.Config.Options",
  "VM.Config.Cloudinit",
];

export function vmidOf(text: string | undefined): number {
  if (text === undefined || !/^[1-9]\d{2,8}$/.test(text)) {
    paramError({ vmid: "invalid format - value does not look like a valid VM ID" });
  }
  return Number(text);
}

/** Parameters that steer the call and are no options of the guest. */
function optionsOnly(params: Record<string, string>, control: readonly string[]): Config {
  const out: Config = {};
  for (const [key, value] of Object.entries(params)) {
    if (control.includes(key)) continue;
    out[key === "cdrom" ? "ide2" : key] = key === "cdrom" && !value.includes("media=") ? `${value},media=cdrom` : value;
  }
  return out;
}

function checkAll(who: access.Who, params: Config, storage: string | undefined): void {
  access.checkStorageAccess(who, params, storage);
  access.checkOptions(who, Object.keys(params));
  for (const [key, value] of Object.entries(params)) access.checkDevice(who, key, value);
  access.checkBridges(who, params);
  if (params["tags"] !== undefined) access.checkTags(who, undefined, params["tags"]);
}

const CREATE_CONTROL = [
  "vmid",
  "pool",
  "start",
  "storage",
  "force",
  "unique",
  "bwlimit",
  "ha-managed",
  "live-restore",
  "archive",
  "import-working-storage",
];

function create({ state, identity, params, task, event }: Context): string {
  const vmid = vmidOf(params["vmid"]);
  const pool = params["pool"];
  const options = hideSecrets(optionsOnly(params, CREATE_CONTROL));
  checkFormats(options);
  if (pool !== undefined && state.pools[pool] === undefined) permError(`pool '${pool}' does not exist`);
  if (params["storage"] !== undefined)
    need(state, identity, `/storage/${params["storage"]}`, ["Datastore.AllocateSpace"]);
  if (isTrue(params["start"])) needGuest(state, identity, vmid, pool, ["VM.PowerMgmt"]);
  const may =
    allowed(state, identity, `/vms/${vmid}`, "VM.Allocate") ||
    (pool !== undefined && allowed(state, identity, `/pool/${pool}`, "VM.Allocate"));
  if (!may) permError("");
  if (params["archive"] !== undefined) die("restoring from a backup is not part of the lab");
  checkAll({ state, identity, vmid, pool }, options, params["storage"]);
  checkBalloon(options);
  reserve(state, "qemu", vmid, "create");
  event("vm-create", { vmid });
  return task({
    type: "qmcreate",
    id: String(vmid),
    work: {
      kind: "qemu-create",
      vmid,
      params: options,
      start: isTrue(params["start"]),
      ...(pool === undefined ? {} : { pool }),
      ...(params["storage"] === undefined ? {} : { storage: params["storage"] }),
    },
  });
}

const UPDATE_CONTROL = [
  "digest",
  "delete",
  "revert",
  "force",
  "skiplock",
  "background_delay",
  "skip_cloud_init",
  "import-working-storage",
];

function update(context: Context, sync: boolean): string | null {
  const { state, identity, params, path, env, fullStorages } = context;
  const vmid = vmidOf(path["vmid"]);
  needAny(state, identity, `/vms/${vmid}`, CONFIG_PRIVILEGES);
  if (isTrue(params["skiplock"]) && !isRoot(identity)) paramError({ skiplock: "Only root may use this option." });
  const options = hideSecrets(optionsOnly(params, UPDATE_CONTROL));
  const remove = splitList(params["delete"]).map((key) => (key === "cdrom" ? "ide2" : key));
  const revert = splitList(params["revert"]);
  if (remove.length + revert.length + Object.keys(options).length === 0) die("no options specified");
  checkFormats(options);
  const who = { state, identity, vmid };
  access.checkOptions(who, remove);
  access.checkOptions(who, Object.keys(options));
  access.checkStorageAccess(who, options);
  access.checkBridges(who, options);
  const guest = getGuest(state, "qemu", vmid);
  checkDigest(guest, params["digest"]);
  if (!isTrue(params["skiplock"])) checkLock(guest);
  for (const key of remove) {
    const value = guest.config[key] ?? guest.pending[key];
    if (value === undefined) continue;
    if (isDrive(key)) access.checkDriveChange(who, value);
    else access.checkDevice(who, key, value, "delete");
    if (key === "tags") access.checkTags(who, value, "");
  }
  for (const [key, value] of Object.entries(options)) {
    const before = guest.config[key];
    if (isDrive(key)) {
      if (before !== undefined) access.checkDriveChange(who, before);
      access.checkDriveChange(who, value);
    } else {
      if (before !== undefined) access.checkDevice(who, key, before, "modify");
      access.checkDevice(who, key, value);
    }
    if (key === "tags") access.checkTags(who, before, value);
  }
  for (const key of revert) {
    delete guest.pending[key];
    guest.pendingDelete = guest.pendingDelete.filter((name) => name !== key);
  }
  const force = isTrue(params["force"]);
  context.event("vm-config", { vmid, options: [...Object.keys(options), ...remove.map((k) => `-${k}`)].join(" ") });
  if (sync) {
    updateConfig(state, guest, options, remove, { env, fullStorages, force, skipLock: isTrue(params["skiplock"]) });
    return null;
  }
  checkBalloon(options, guest);
  return context.task({
    type: "qmconfig",
    id: String(vmid),
    work: { kind: "qemu-config", vmid, params: options, remove, force },
  });
}

function destroy({ state, identity, params, path, task, event }: Context): string {
  const vmid = vmidOf(path["vmid"]);
  need(state, identity, `/vms/${vmid}`, ["VM.Allocate"]);
  if (isTrue(params["skiplock"]) && !isRoot(identity)) paramError({ skiplock: "Only root may use this option." });
  const guest = getGuest(state, "qemu", vmid);
  checkProtection(guest, `can't remove VM ${vmid}`);
  if (guest.run.status !== "stopped") die(`VM ${vmid} is running - destroy failed`);
  if (!isTrue(params["skiplock"])) checkLock(guest);
  delete guest.config["lock"];
  setLock(guest, "destroyed");
  event("vm-destroy", { vmid });
  return task({
    type: "qmdestroy",
    id: String(vmid),
    work: {
      kind: "guest-destroy",
      vmid,
      unreferenced: isTrue(params["destroy-unreferenced-disks"]),
      purge: isTrue(params["purge"]),
    },
  });
}

export const qemuRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/nodes/{node}/qemu",
    params: "full",
    source: `${API} (vmlist)`,
    handle: ({ state, identity, env }) =>
      Object.values(state.guests)
        .filter((g) => g.kind === "qemu" && allowed(state, identity, `/vms/${g.vmid}`, "VM.Audit"))
        .map((g) => guestStatus(state, g, env.nowMs)),
  },
  {
    method: "POST",
    path: "/nodes/{node}/qemu",
    params: `vmid! pool start storage force unique bwlimit ha-managed live-restore archive import-working-storage ${QEMU_OPTIONS}`,
    source: `${API} (create_vm)`,
    handle: create,
  },
  {
    method: "DELETE",
    path: "/nodes/{node}/qemu/{vmid}",
    params: "skiplock purge destroy-unreferenced-disks",
    source: `${API} (destroy_vm)`,
    handle: destroy,
  },
  {
    method: "GET",
    path: "/nodes/{node}/qemu/{vmid}/config",
    params: "current snapshot",
    source: `${API} (vm_config)`,
    handle: ({ state, identity, params, path }) => {
      const vmid = vmidOf(path["vmid"]);
      need(state, identity, `/vms/${vmid}`, ["VM.Audit"]);
      const guest = getGuest(state, "qemu", vmid);
      return configView(guest, isTrue(params["current"]));
    },
  },
  {
    method: "POST",
    path: "/nodes/{node}/qemu/{vmid}/config",
    params: `digest delete revert force skiplock background_delay import-working-storage ${QEMU_OPTIONS}`,
    source: `${API} (update_vm_async)`,
    handle: (context) => update(context, false),
  },
  {
    method: "PUT",
    path: "/nodes/{node}/qemu/{vmid}/config",
    params: `digest delete revert force skiplock import-working-storage ${QEMU_OPTIONS}`,
    source: `${API} (update_vm)`,
    handle: (context) => update(context, true),
  },
  {
    method: "GET",
    path: "/nodes/{node}/qemu/{vmid}/pending",
    params: "",
    source: `${API} (vm_pending)`,
    handle: ({ state, identity, path }) => {
      const vmid = vmidOf(path["vmid"]);
      need(state, identity, `/vms/${vmid}`, ["VM.Audit"]);
      return pendingView(getGuest(state, "qemu", vmid));
    },
  },
  {
    method: "PUT",
    path: "/nodes/{node}/qemu/{vmid}/unlink",
    params: "idlist! force",
    source: `${API} (unlink)`,
    handle: (context) => {
      const { state, identity, path, params } = context;
      need(state, identity, `/vms/${path["vmid"] ?? ""}`, ["VM.Config.Disk"]);
      const { idlist, ...rest } = params;
      return update({ ...context, params: { ...rest, delete: idlist ?? "" } }, true);
    },
  },
];
