/** Cloning. Source: qemu-server src/PVE/API2/Qemu.pm (clone_vm), pve-container src/PVE/API2/LXC.pm (clone_vm). */
import { die } from "../core/errors.ts";
import type { Config, LabState } from "../core/state.ts";
import type { TaskWork } from "../core/work.ts";
import { formatDrive, isCdrom, isCloudInit, parseDrive } from "./drives.ts";
import { addToPool, anyGuest } from "./model.ts";
import type { WorkOptions } from "./perform.ts";
import { normaliseNet } from "./qemu-config.ts";
import { isDrive, isMountPoint } from "./schema.ts";
import { allocate } from "./volumes.ts";

const NOT_CLONED = /^(unused\d+|lock|template|parent|snaptime|vmstate|protection)$/;

export function cloneGuest(
  state: LabState,
  work: Extract<TaskWork, { kind: "guest-clone" }>,
  options: WorkOptions,
): void {
  const source = anyGuest(state, work.vmid);
  const target = anyGuest(state, work.newid);
  const config: Config = {};
  for (const [key, value] of Object.entries(source.config)) {
    if (NOT_CLONED.test(key)) continue;
    if (isDrive(key) || isMountPoint(key)) config[key] = copyDrive(state, work, value, options);
    else if (/^net\d+$/.test(key) && source.kind === "qemu") config[key] = freshMac(key, value, options);
    else config[key] = value;
  }
  const nameKey = source.kind === "qemu" ? "name" : "hostname";
  config[nameKey] =
    work.name ?? `Copy-of-${source.kind === "qemu" ? "VM" : "CT"}-${source.config[nameKey] ?? source.vmid}`;
  if (work.description !== undefined) config["description"] = work.description;
  if (source.kind === "qemu") {
    config["smbios1"] = `uuid=${options.env.uuid()}`;
    config["vmgenid"] = options.env.uuid();
  }
  target.config = config;
  if (source.config["lock"] === "clone") delete source.config["lock"];
  addToPool(state, work.newid, work.pool);
}

function copyDrive(
  state: LabState,
  work: Extract<TaskWork, { kind: "guest-clone" }>,
  value: string,
  options: WorkOptions,
): string {
  const drive = parseDrive(value);
  if (isCdrom(drive) && !isCloudInit(drive)) return value;
  const volume = state.volumes[drive.file];
  if (!volume) return value.includes(":") ? die(`volume '${drive.file}' does not exist`) : value;
  const copy = allocate(
    state,
    {
      storage: work.storage ?? volume.storage,
      vmid: work.newid,
      sizeBytes: volume.sizeBytes,
      content: volume.content === "rootdir" ? "rootdir" : "images",
      bootable: volume.bootable,
      ...(isCloudInit(drive) ? { name: `vm-${work.newid}-cloudinit` } : {}),
    },
    options.env.nowMs,
    options.fullStorages,
  );
  return formatDrive({ file: copy.volid, options: drive.options });
}

function freshMac(key: string, value: string, options: WorkOptions): string {
  return normaliseNet(key, value.replace(/^(\w+)=[0-9A-Fa-f:]{17}/, "model=$1"), options.env);
}
