/** Snapshots. Source: pve-guest-common src/PVE/AbstractConfig.pm (snapshot_create, snapshot_delete, snapshot_rollback). */
import { die } from "../core/errors.ts";
import type { Guest, LabState } from "../core/state.ts";
import type { TaskWork } from "../core/work.ts";
import { referencedVolumes } from "./drives.ts";
import { isTemplate } from "./model.ts";
import { freeVolume, stopGuest } from "./run.ts";

export function checkSnapshot(guest: Guest, name: string): void {
  if (isTemplate(guest)) die("you can't take a snapshot if it's a template");
  if (name === "current" || guest.snapshots.some((s) => s.name === name)) die(`snapshot name '${name}' already used`);
}

export function findSnapshot(guest: Guest, name: string): Guest["snapshots"][number] {
  return guest.snapshots.find((s) => s.name === name) ?? die(`snapshot '${name}' does not exist`);
}

export function createSnapshot(
  guest: Guest,
  work: Extract<TaskWork, { kind: "snapshot-create" }>,
  nowMs: number,
): void {
  const { lock: _lock, ...config } = guest.config;
  const parent = guest.config["parent"];
  guest.snapshots.push({
    name: work.name,
    description: work.description,
    ...(parent === undefined ? {} : { parent }),
    snaptime: Math.floor(nowMs / 1000),
    vmstate: work.vmstate,
    config,
  });
  guest.config = { ...config, parent: work.name };
}

export function deleteSnapshot(state: LabState, guest: Guest, name: string): void {
  const gone = findSnapshot(guest, name);
  const before = referencedVolumes(guest);
  guest.snapshots = guest.snapshots.filter((s) => s.name !== name);
  for (const other of guest.snapshots) if (other.parent === name) setParent(other, gone.parent);
  const { lock: _lock, ...config } = guest.config;
  guest.config = config;
  if (config["parent"] === name) {
    delete guest.config["parent"];
    if (gone.parent !== undefined) guest.config["parent"] = gone.parent;
  }
  const after = referencedVolumes(guest);
  for (const volid of before)
    if (!after.has(volid) && state.volumes[volid]?.vmid === guest.vmid) freeVolume(state, volid);
}

function setParent(snapshot: Guest["snapshots"][number], parent: string | undefined): void {
  if (parent === undefined) delete snapshot.parent;
  else snapshot.parent = parent;
}

export function rollbackSnapshot(state: LabState, guest: Guest, name: string): void {
  const snapshot = findSnapshot(guest, name);
  const before = referencedVolumes(guest);
  guest.config = { ...snapshot.config, parent: name };
  guest.pending = {};
  guest.pendingDelete = [];
  stopGuest(guest);
  const after = referencedVolumes(guest);
  for (const volid of before) {
    // A volume made after the snapshot stays with the guest, unused.
    if (after.has(volid) || state.volumes[volid]?.vmid !== guest.vmid) continue;
    let n = 0;
    while (guest.config[`unused${n}`] !== undefined) n += 1;
    guest.config[`unused${n}`] = volid;
  }
}
