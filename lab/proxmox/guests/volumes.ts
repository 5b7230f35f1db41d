/**
 * Volumes: names, space, allocation. Source: pve-storage src/PVE/Storage.pm, src/PVE/Storage/Plugin.pm
 * (parse_volname), src/PVE/Storage/ZFSPoolPlugin.pm (alloc_image).
 */
import { die } from "../core/errors.ts";
import { splitList } from "../core/property.ts";
import type { LabState, StorageConfig, Volume } from "../core/state.ts";
import { SYSTEM_BYTES } from "../fixtures/index.ts";

export function storageConfig(state: LabState, storage: string): StorageConfig {
  return state.storages[storage] ?? die(`storage '${storage}' does not exist`);
}

export function supports(storage: StorageConfig, content: string): boolean {
  return splitList(storage.options["content"]).includes(content);
}

export function volumesOf(state: LabState, storage: string): Volume[] {
  return Object.values(state.volumes).filter((volume) => volume.storage === storage);
}

/** A thin volume takes what is written, which the lab sets at a tenth, and no less than a bootable system needs. */
function usedBytes(volume: Volume, thin: boolean): number {
  if (!thin || volume.content === "iso" || volume.content === "import") return volume.sizeBytes;
  return volume.bootable ? Math.min(volume.sizeBytes, Math.max(volume.sizeBytes / 10, 2 ** 31)) : 98_304;
}

function poolOf(state: LabState, storage: StorageConfig): string {
  const name = (storage.options["pool"] ?? "").split("/")[0] ?? "";
  if (storage.type === "zfspool" && name !== "") return name;
  return storage.options["path"] === "/mnt/backup" ? "usb" : (state.node.zpools[0]?.name ?? "");
}

/** Storages of one pool share its space, as datasets do. */
export function space(state: LabState, storage: StorageConfig): { total: number; used: number; avail: number } {
  const pool = poolOf(state, storage);
  const size = state.node.zpools.find((z) => z.name === pool)?.sizeBytes ?? 4_000_000_000_000;
  let poolUsed = pool === "rpool" ? SYSTEM_BYTES : 0;
  let used = pool === "rpool" && storage.type === "dir" ? SYSTEM_BYTES : 0;
  for (const other of Object.values(state.storages)) {
    if (poolOf(state, other) !== pool) continue;
    const thin = other.options["sparse"] === "1";
    for (const volume of volumesOf(state, other.storage)) {
      const bytes = Math.ceil(usedBytes(volume, thin));
      poolUsed += bytes;
      if (other.storage === storage.storage) used += bytes;
    }
  }
  const avail = Math.max(0, size - poolUsed);
  return { total: used + avail, used, avail };
}

export interface NewVolume {
  storage: string;
  vmid: number;
  sizeBytes: number;
  content: "images" | "rootdir";
  bootable: boolean;
  /** A fixed name in place of the next free disk number. */
  name?: string;
}

/** Allocates a guest's volume; the name is the lowest free disk number, as PVE picks it. */
export function allocate(
  state: LabState,
  wanted: NewVolume,
  nowMs: number,
  fullStorages: readonly string[] = [],
): Volume {
  const storage = storageConfig(state, wanted.storage);
  const isZfs = storage.type === "zfspool";
  if (!supports(storage, wanted.content)) {
    die(`storage '${wanted.storage}' does not support content-type '${wanted.content}'`);
  }
  const subvol = wanted.content === "rootdir" && isZfs;
  const format = subvol ? "subvol" : "raw";
  const stem = subvol ? "subvol" : "vm";
  let volid = "";
  for (let n = 0; volid === ""; n += 1) {
    const name = wanted.name ?? `${stem}-${wanted.vmid}-disk-${n}`;
    const path = isZfs ? name : `${wanted.vmid}/${name}.raw`;
    const candidate = `${wanted.storage}:${path}`;
    if (state.volumes[candidate] === undefined) volid = candidate;
    else if (wanted.name !== undefined) die(`volume '${candidate}' already exists`);
  }
  const thin = storage.options["sparse"] === "1" || !isZfs;
  if (fullStorages.includes(wanted.storage) || (!thin && wanted.sizeBytes > space(state, storage).avail)) {
    const where = isZfs ? `${storage.options["pool"] ?? ""}/${volid.slice(wanted.storage.length + 1)}` : volid;
    die(
      isZfs
        ? `zfs error: cannot create '${where}': out of space`
        : `unable to allocate '${where}': No space left on device`,
    );
  }
  const volume: Volume = {
    volid,
    storage: wanted.storage,
    content: wanted.content,
    format,
    sizeBytes: wanted.sizeBytes,
    vmid: wanted.vmid,
    ctime: Math.floor(nowMs / 1000),
    bootable: wanted.bootable,
  };
  state.volumes[volid] = volume;
  return volume;
}

/** The file system path of a volume, which the API tells and `pvesm path` prints. */
export function volumePath(storage: StorageConfig, volume: Pick<Volume, "volid" | "format">): string {
  const name = volume.volid.slice(volume.volid.indexOf(":") + 1);
  if (storage.type === "zfspool") {
    const pool = storage.options["pool"] ?? "";
    return volume.format === "subvol" ? `/${pool}/${name}` : `/dev/zvol/${pool}/${name}`;
  }
  const root = storage.options["path"] ?? "";
  const directory: Record<string, string> = {
    iso: "template/iso",
    vztmpl: "template/cache",
    backup: "dump",
    snippets: "snippets",
    import: "import",
  };
  const [kind = "", ...rest] = name.split("/");
  const mapped = directory[kind];
  return mapped === undefined ? `${root}/images/${name}` : `${root}/${mapped}/${rest.join("/")}`;
}
