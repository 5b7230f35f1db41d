/**
 * Drives of a qemu configuration: `local-zfs:32` becomes a volume, `cloudinit` becomes its drive, an import is copied.
 * Source: qemu-server src/PVE/API2/Qemu.pm (create_disks), src/PVE/QemuServer/Drive.pm ($NEW_DISK_RE).
 */
import { die, paramError } from "../core/errors.ts";
import { formatProperty, formatSize, parseProperty } from "../core/property.ts";
import { type Config, GIB, type Guest, type LabState, MIB } from "../core/state.ts";
import { isDrive } from "./schema.ts";
import { allocate } from "./volumes.ts";

export interface Drive {
  file: string;
  options: Record<string, string>;
}

export function parseDrive(value: string): Drive {
  const options = parseProperty(value, "file");
  const file = options["file"] ?? "";
  delete options["file"];
  return { file, options };
}

export function formatDrive(drive: Drive): string {
  return formatProperty({ file: drive.file, ...drive.options }, "file");
}

export function isCloudInit(drive: Drive): boolean {
  return /(^|[:/])(cloudinit|vm-\d+-cloudinit)(\.\w+)?$/.test(drive.file);
}

export function isCdrom(drive: Drive): boolean {
  return drive.options["media"] === "cdrom" || drive.file === "cdrom" || drive.file.includes(":iso/");
}

const NEW_DISK = /^(?:([^/:\s]+):)?(\d+(?:\.\d+)?)$/;

/** Whether the value asks for a new volume, and of how many GiB on which storage. */
export function newDisk(drive: Drive): { storage: string | undefined; sizeGiB: number } | undefined {
  const match = NEW_DISK.exec(drive.file);
  return match ? { storage: match[1], sizeGiB: Number(match[2]) } : undefined;
}

/** Volumes whose names Proxmox chose for a guest, wherever its configuration and snapshots mention them. */
export function volumesInConfig(config: Config): string[] {
  const out: string[] = [];
  for (const [key, value] of Object.entries(config)) {
    if (isDrive(key) || /^unused\d+$/.test(key) || key === "rootfs" || /^mp\d+$/.test(key) || key === "vmstate") {
      const file = parseProperty(value, "file")["file"] ?? "";
      if (file.includes(":")) out.push(file);
    }
  }
  return out;
}

export function referencedVolumes(guest: Guest): Set<string> {
  const all = [guest.config, guest.pending, ...guest.snapshots.map((s) => s.config)];
  return new Set(all.flatMap(volumesInConfig));
}

/** Turns one drive option into what the configuration keeps, allocating and copying as asked. */
export function realiseDrive(
  state: LabState,
  vmid: number,
  key: string,
  value: string,
  options: { nowMs: number; defaultStorage?: string | undefined; fullStorages: readonly string[] },
): string {
  const drive = parseDrive(value);
  const storageOfCloudInit = /^([^:]+):cloudinit$/.exec(drive.file)?.[1];
  if (storageOfCloudInit !== undefined || drive.file === "cloudinit") {
    const storage = storageOfCloudInit ?? options.defaultStorage ?? die("no storage ID specified");
    const volume = allocate(
      state,
      { storage, vmid, sizeBytes: 4 * MIB, content: "images", bootable: false, name: `vm-${vmid}-cloudinit` },
      options.nowMs,
      options.fullStorages,
    );
    return formatDrive({ file: volume.volid, options: { ...drive.options, media: "cdrom", size: "4M" } });
  }
  const wanted = newDisk(drive);
  if (!wanted) {
    if (drive.file === "none" || drive.file === "cdrom" || !drive.file.includes(":")) return value;
    const volume = state.volumes[drive.file];
    if (!volume) die(`volume '${drive.file}' does not exist`);
    if (isCdrom(drive)) return formatDrive({ file: drive.file, options: drive.options });
    return formatDrive({ file: drive.file, options: { ...drive.options, size: formatSize(volume.sizeBytes) } });
  }
  const storage = wanted.storage ?? options.defaultStorage ?? die("no storage ID specified (and no default storage)");
  const source = drive.options["import-from"];
  delete drive.options["import-from"];
  delete drive.options["format"];
  let sizeBytes = Math.ceil(wanted.sizeGiB * GIB);
  let bootable = false;
  if (source !== undefined) {
    const image = state.volumes[source] ?? die(`volume '${source}' does not exist`);
    sizeBytes = virtualSize(image.sizeBytes, image.format);
    bootable = true;
  } else if (key === "efidisk0") {
    sizeBytes = MIB;
  } else if (key === "tpmstate0") {
    sizeBytes = 4 * MIB;
  }
  if (sizeBytes <= 0) paramError({ [key]: "unable to create a disk of size 0" });
  const volume = allocate(
    state,
    { storage, vmid, sizeBytes, content: "images", bootable },
    options.nowMs,
    options.fullStorages,
  );
  return formatDrive({ file: volume.volid, options: { ...drive.options, size: formatSize(sizeBytes) } });
}

/** A cloud image is a sparse file of a bigger disk: the lab takes four times the file, in whole GiB. */
export function virtualSize(fileBytes: number, format: string): number {
  if (format === "raw" || format === "iso") return fileBytes;
  return Math.max(2, Math.ceil((fileBytes * 4) / GIB)) * GIB;
}

/** The first free `unusedN`. */
export function nextUnused(config: Config): string {
  for (let n = 0; n < 256; n += 1) {
    if (config[`unused${n}`] === undefined) return `unused${n}`;
  }
  return die("Too many unused volumes - please delete them first.");
}
