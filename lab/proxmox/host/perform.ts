/** What the host's own tasks do: network reload, downloads, deletions, pools. */
import { die } from "../core/errors.ts";
import type { Environment } from "../core/router.ts";
import type { LabState } from "../core/state.ts";
import type { TaskWork } from "../core/work.ts";

export function performHostWork(
  state: LabState,
  work: TaskWork,
  options: { env: Environment; fullStorages: readonly string[] },
): void {
  switch (work.kind) {
    case "network-reload":
      state.network.live = structuredClone(state.network.staged);
      return;
    case "download": {
      if (options.fullStorages.includes(work.storage)) die("download failed: No space left on device");
      state.volumes[work.volid] = {
        volid: work.volid,
        storage: work.storage,
        content: work.content,
        format: work.format,
        sizeBytes: work.sizeBytes,
        ctime: Math.floor(options.env.nowMs / 1000),
        bootable: true,
        ...(work.checksum ? { checksum: work.checksum } : {}),
      };
      return;
    }
    case "volume-delete":
      delete state.volumes[work.volid];
      return;
    case "zpool-create":
      createPool(state, work);
      return;
    default:
      return;
  }
}

function createPool(state: LabState, work: Extract<TaskWork, { kind: "zpool-create" }>): void {
  const disks = state.node.disks.filter((disk) => work.devices.includes(disk.devpath));
  const busy = disks.find((disk) => disk.used !== "unused");
  if (busy) die(`device '${busy.devpath}' is already in use`);
  const smallest = Math.min(...disks.map((disk) => disk.sizeBytes));
  state.node.zpools.push({
    name: work.name,
    sizeBytes: work.raid === "mirror" ? smallest : disks.reduce((sum, disk) => sum + disk.sizeBytes, 0),
    health: "ONLINE",
    devices: work.devices,
    raid: work.raid,
  });
  for (const disk of disks) disk.used = "ZFS";
  if (work.addStorage) {
    state.storages[work.name] = {
      storage: work.name,
      type: "zfspool",
      options: { pool: work.name, content: "images,rootdir" },
    };
  }
}
