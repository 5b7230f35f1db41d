/**
 * What tasks do when their time has come: one pure step each. A step that throws has changed nothing, because the
 * engine runs it on a copy; what the task had reserved is then given back by {@link release}.
 */
import { die } from "../core/errors.ts";
import { formatSize } from "../core/property.ts";
import type { Environment } from "../core/router.ts";
import type { Config, Guest, LabState } from "../core/state.ts";
import type { TaskWork } from "../core/work.ts";
import { cloneGuest } from "./clone.ts";
import { formatDrive, parseDrive, referencedVolumes } from "./drives.ts";
import { buildContainer } from "./lxc-config.ts";
import { addToPool, anyGuest, checkLock, checkProtection, forgetGuest } from "./model.ts";
import { applyPending, buildConfig, updateConfig } from "./qemu-config.ts";
import { checkStart, freeVolume, startGuest, stopGuest } from "./run.ts";
import { createSnapshot, deleteSnapshot, rollbackSnapshot } from "./snapshots.ts";
import { allocate, storageConfig, supports } from "./volumes.ts";

export interface WorkOptions {
  readonly env: Environment;
  readonly fullStorages: readonly string[];
  snippetExists(volid: string): boolean;
}

/** Runs a guest's work on a state the caller may throw away. Returns false when the work is not a guest's. */
export function performGuestWork(state: LabState, work: TaskWork, options: WorkOptions, log: string[]): boolean {
  const { env, fullStorages } = options;
  switch (work.kind) {
    case "qemu-create": {
      const config = buildConfig(state, work.vmid, work.params, { env, fullStorages, defaultStorage: work.storage });
      finishCreate(state, work, config, options);
      return true;
    }
    case "lxc-create": {
      const config = buildContainer(state, work.vmid, work.params, work.storage, { env, fullStorages });
      finishCreate(state, work, config, options);
      return true;
    }
    case "qemu-config":
      updateConfig(state, anyGuest(state, work.vmid), work.params, work.remove, {
        env,
        fullStorages,
        force: work.force,
      });
      return true;
    case "guest-destroy":
      destroy(state, anyGuest(state, work.vmid), work.unreferenced, log);
      return true;
    case "guest-start":
      start(state, anyGuest(state, work.vmid), options);
      return true;
    case "guest-stop": {
      const guest = anyGuest(state, work.vmid);
      if (guest.config["lock"] !== "suspended") checkLock(guest);
      stopGuest(guest);
      return true;
    }
    case "guest-reboot": {
      const guest = anyGuest(state, work.vmid);
      stopGuest(guest);
      start(state, guest, options);
      return true;
    }
    case "qemu-reset": {
      const guest = anyGuest(state, work.vmid);
      guest.run.startedAtMs = env.nowMs;
      return true;
    }
    case "guest-pause":
      anyGuest(state, work.vmid).run.status = work.paused ? "paused" : "running";
      return true;
    case "guest-resize":
      resize(state, anyGuest(state, work.vmid), work.disk, work.sizeBytes);
      return true;
    case "guest-template":
      makeTemplate(state, anyGuest(state, work.vmid));
      return true;
    case "guest-clone":
      cloneGuest(state, work, options);
      return true;
    case "qemu-move-disk":
      moveDisk(state, anyGuest(state, work.vmid), work, options);
      return true;
    case "snapshot-create":
      createSnapshot(anyGuest(state, work.vmid), work, env.nowMs);
      return true;
    case "snapshot-delete":
      deleteSnapshot(state, anyGuest(state, work.vmid), work.name);
      return true;
    case "snapshot-rollback":
      rollbackSnapshot(state, anyGuest(state, work.vmid), work.name);
      return true;
    default:
      return false;
  }
}

function finishCreate(
  state: LabState,
  work: Extract<TaskWork, { kind: "qemu-create" | "lxc-create" }>,
  config: Config,
  options: WorkOptions,
): void {
  const guest = anyGuest(state, work.vmid);
  guest.config = config;
  addToPool(state, work.vmid, work.pool);
  if (work.start) start(state, guest, options);
}

function start(state: LabState, guest: Guest, options: WorkOptions): void {
  const suspended = guest.config["lock"] === "suspended";
  if (!suspended) checkLock(guest);
  if (guest.run.status !== "stopped") die(`${guest.kind === "qemu" ? "VM" : "CT"} ${guest.vmid} already running`);
  if (suspended) delete guest.config["lock"];
  applyPending(guest);
  checkStart(state, guest, options.env.nowMs, options.snippetExists);
  startGuest(state, guest, options.env.nowMs);
}

function destroy(state: LabState, guest: Guest, unreferenced: boolean, log: string[]): void {
  checkProtection(guest, `can't remove ${guest.kind === "qemu" ? "VM" : "CT"} ${guest.vmid}`);
  if (guest.run.status !== "stopped") {
    die(
      guest.kind === "qemu"
        ? `VM ${guest.vmid} is running - destroy failed`
        : `unable to destroy CT ${guest.vmid} - container is running`,
    );
  }
  const own = referencedVolumes(guest);
  for (const volume of Object.values(state.volumes)) {
    const isOwned = volume.vmid === guest.vmid && (volume.content === "images" || volume.content === "rootdir");
    if (!isOwned || !(unreferenced || own.has(volume.volid))) continue;
    log.push(`removing volume ${volume.volid}`);
    freeVolume(state, volume.volid);
  }
  forgetGuest(state, guest.vmid);
}

function resize(state: LabState, guest: Guest, disk: string, sizeBytes: number): void {
  const value = guest.config[disk] ?? die(`disk '${disk}' does not exist`);
  const drive = parseDrive(value);
  const volume = state.volumes[drive.file] ?? die(`disk '${disk}' has no associated volume`);
  if (sizeBytes < volume.sizeBytes) die("shrinking disks is not supported");
  volume.sizeBytes = sizeBytes;
  guest.config[disk] = formatDrive({ file: drive.file, options: { ...drive.options, size: formatSize(sizeBytes) } });
}

function makeTemplate(state: LabState, guest: Guest): void {
  guest.config["template"] = "1";
  for (const [key, value] of Object.entries(guest.config)) {
    const drive = parseDrive(value);
    const volume = state.volumes[drive.file];
    if (volume?.vmid !== guest.vmid || !/disk-\d+/.test(volume.volid)) continue;
    const volid = volume.volid.replace(/(vm|subvol)-(\d+)-disk/, (_all, stem: string, id: string) =>
      stem === "vm" ? `base-${id}-disk` : `basevol-${id}-disk`,
    );
    delete state.volumes[volume.volid];
    state.volumes[volid] = { ...volume, volid };
    guest.config[key] = formatDrive({ file: volid, options: drive.options });
  }
}

function moveDisk(
  state: LabState,
  guest: Guest,
  work: Extract<TaskWork, { kind: "qemu-move-disk" }>,
  options: WorkOptions,
): void {
  const value = guest.config[work.disk] ?? die(`disk '${work.disk}' does not exist`);
  const drive = parseDrive(value);
  const source = state.volumes[drive.file] ?? die(`volume '${drive.file}' does not exist`);
  if (!supports(storageConfig(state, work.storage), "images")) {
    die(`storage '${work.storage}' does not support content-type 'images'`);
  }
  const copy = allocate(
    state,
    {
      storage: work.storage,
      vmid: guest.vmid,
      sizeBytes: source.sizeBytes,
      content: "images",
      bootable: source.bootable,
    },
    options.env.nowMs,
    options.fullStorages,
  );
  guest.config[work.disk] = formatDrive({ file: copy.volid, options: drive.options });
  if (work.remove) freeVolume(state, source.volid);
  else {
    let n = 0;
    while (guest.config[`unused${n}`] !== undefined) n += 1;
    guest.config[`unused${n}`] = source.volid;
  }
}

/**
 * Gives back what a task held when it failed or was cut short: the id a creation had reserved, and the locks.
 * A real host does the same when a worker's error handler runs; after a power cut its administrator does (`qm unlock`).
 */
export function release(state: LabState, work: TaskWork): void {
  if (work.kind === "qemu-create" || work.kind === "lxc-create") {
    if (state.guests[String(work.vmid)]?.config["lock"] === "create") forgetGuest(state, work.vmid);
  } else if (work.kind === "guest-clone") {
    if (state.guests[String(work.newid)]?.config["lock"] === "clone") forgetGuest(state, work.newid);
    unlock(state, work.vmid, "clone");
  } else if (work.kind === "guest-destroy") unlock(state, work.vmid, "destroyed");
  else if (work.kind === "snapshot-create") unlock(state, work.vmid, "snapshot");
  else if (work.kind === "snapshot-delete") unlock(state, work.vmid, "snapshot-delete");
  else if (work.kind === "snapshot-rollback") unlock(state, work.vmid, "rollback");
}

function unlock(state: LabState, vmid: number, lock: string): void {
  const guest = state.guests[String(vmid)];
  if (guest?.config["lock"] === lock) delete guest.config["lock"];
}

/** The guests a task works on: their tasks run one after another, as Proxmox's file locks make them. */
export function guestsOf(work: TaskWork): number[] {
  const ids: number[] = [];
  if ("vmid" in work) ids.push(work.vmid);
  if ("newid" in work) ids.push(work.newid);
  return ids;
}
