/** Disks, pools and devices of the host. Sources: pve-manager PVE/API2/Hardware/{PCI,USB}.pm, pve-storage src/PVE/API2/Disks{,/ZFS}.pm. */
import { allowed, need } from "../access/permissions.ts";
import { die, paramError } from "../core/errors.ts";
import { isTrue, splitList } from "../core/property.ts";
import type { Context, Route } from "../core/router.ts";
import type { Zpool } from "../core/state.ts";
import { SYSTEM_BYTES } from "../fixtures/index.ts";

const DISKS = "pve-storage@0c56bad src/PVE/API2/Disks";

function audit({ state, identity }: Context): void {
  need(state, identity, `/nodes/${state.node.name}`, ["Sys.Audit"]);
}

function poolRow(pool: Zpool): Record<string, string | number> {
  const alloc = pool.name === "rpool" ? SYSTEM_BYTES : 0;
  return {
    name: pool.name,
    size: pool.sizeBytes,
    alloc,
    free: pool.sizeBytes - alloc,
    frag: 0,
    dedup: 1,
    health: pool.health,
  };
}

/** Pools the model knows and those made in the host's shell. */
function allPools({ state, env }: Context): Zpool[] {
  const known = new Set(state.node.zpools.map((pool) => pool.name));
  const made = env.shellPools().filter((pool) => !known.has(pool.name));
  return [...state.node.zpools, ...made.map((pool) => ({ ...pool, health: "ONLINE", devices: [], raid: "mirror" }))];
}

function createPool(context: Context): string {
  const { state, identity, params } = context;
  need(state, identity, `/nodes/${state.node.name}`, ["Sys.Modify"]);
  if (isTrue(params["add_storage"])) need(state, identity, "/storage", ["Datastore.Allocate"]);
  const name = params["name"] ?? "";
  const raid = params["raidlevel"] ?? "";
  const devices = splitList(params["devices"]);
  if (!/^(single|mirror|raid10|raidz|raidz2|raidz3)$/.test(raid))
    paramError({ raidlevel: `value '${raid}' does not have a value in the enumeration` });
  if (raid === "mirror" && devices.length < 2) die(`mirror needs at least 2 disks`);
  if (raid === "single" && devices.length !== 1) die(`'single' needs exactly one disk`);
  if (state.node.zpools.some((z) => z.name === name)) die(`pool '${name}' already exists on node '${state.node.name}'`);
  for (const device of devices) {
    const disk = state.node.disks.find((d) => d.devpath === device) ?? die(`device '${device}' does not exist`);
    if (disk.used !== "unused") die(`device '${device}' is already in use`);
  }
  return context.task({
    type: "zfscreate",
    id: name,
    work: { kind: "zpool-create", name, raid, devices, addStorage: isTrue(params["add_storage"]) },
  });
}

export const hardwareRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/nodes/{node}/disks/list",
    params: "include-partitions skipsmart type",
    source: `${DISKS}.pm (list)`,
    handle: (context) => {
      audit(context);
      return context.state.node.disks.map((d) => ({
        devpath: d.devpath,
        model: d.model,
        serial: d.serial,
        size: d.sizeBytes,
        type: d.type,
        used: d.used,
        gpt: 1,
        rpm: 0,
        health: "PASSED",
        wearout: 98,
        vendor: "unknown",
        wwn: "unknown",
      }));
    },
  },
  {
    method: "GET",
    path: "/nodes/{node}/disks/zfs",
    params: "",
    source: `${DISKS}/ZFS.pm (index); bpg v0.111.1 proxmox/nodes/disks/zfs/types.go`,
    handle: (context) => {
      audit(context);
      return allPools(context).map(poolRow);
    },
  },
  {
    method: "POST",
    path: "/nodes/{node}/disks/zfs",
    params: "name! raidlevel! devices! add_storage ashift compression draid-config",
    source: `${DISKS}/ZFS.pm (create)`,
    handle: createPool,
  },
  {
    method: "GET",
    path: "/nodes/{node}/disks/zfs/{name}",
    params: "",
    source: `${DISKS}/ZFS.pm (detail)`,
    handle: (context) => {
      audit(context);
      const name = context.path["name"] ?? "";
      const pool =
        allPools(context).find((z) => z.name === name) ?? die(`zfs error: cannot open '${name}': no such pool`);
      return {
        name,
        state: pool.health,
        errors: "No known data errors",
        scan: "none requested",
        children: [
          {
            name: `${pool.raid}-0`,
            state: pool.health,
            read: 0,
            write: 0,
            cksum: 0,
            leaf: 0,
            msg: "",
            children: pool.devices.map((d) => ({
              name: d,
              state: "ONLINE",
              read: 0,
              write: 0,
              cksum: 0,
              leaf: 1,
              msg: "",
            })),
          },
        ],
      };
    },
  },
  {
    method: "GET",
    path: "/nodes/{node}/hardware/pci",
    params: "pci-class-blacklist verbose",
    source:
      "pve-manager@14a22df3 PVE/API2/Hardware/PCI.pm (pciscan); bpg v0.111.1 proxmox/nodes/hardware/hardware_pci_types.go",
    handle: (context) => {
      const { state, identity } = context;
      if (!allowed(state, identity, "/", "Sys.Modify")) audit(context);
      const hidden = splitList(context.params["pci-class-blacklist"] ?? "05,06,0b");
      return state.node.pci
        .filter((d) => !hidden.some((c) => d.class.startsWith(`0x${c}`)))
        .map((d) => ({
          id: d.id,
          class: d.class,
          vendor: d.vendor,
          device: d.device,
          iommugroup: d.iommuGroup,
          vendor_name: d.vendorName,
          device_name: d.deviceName,
          subsystem_vendor: d.subsystemVendor,
          subsystem_device: d.subsystemDevice,
        }));
    },
  },
  {
    method: "GET",
    path: "/nodes/{node}/hardware/usb",
    params: "",
    source: "pve-manager@14a22df3 PVE/API2/Hardware/USB.pm (usbscan)",
    handle: (context) => {
      const { state, identity } = context;
      if (!allowed(state, identity, "/", "Sys.Modify")) audit(context);
      return state.node.usb.map((d) => ({ ...d, level: 1, class: 0 }));
    },
  },
];
