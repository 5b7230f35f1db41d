import assert from "node:assert/strict";
import fc from "fast-check";
import type { GenesisSettings } from "../../components/shared/genesisSettings.ts";
import { valueOrThrow } from "../../components/shared/faults.ts";
import { planGenesis } from "../../components/shared/genesisPlan.ts";
import { declaredObjects } from "../../cli/preflight/declaredObjects.ts";
import { judgePreflight } from "../../cli/preflight/judge.ts";
import type { HostObservation } from "../../cli/preflight/observation.ts";
import { neededPrivileges } from "../../cli/preflight/privileges.ts";
import { genesisSettings } from "../support/genesisSettings.ts";

const settings: GenesisSettings = {
  ...genesisSettings(),
  images: { ...genesisSettings().images, windowsIso: "local:iso/win10.iso" },
};
const plan = valueOrThrow("plan", planGenesis(settings));
const lanNic = plan.addresses.nics.find(({ network }) => network === "lan");
assert.ok(lanNic !== undefined);
const needed = neededPrivileges({ storages: ["hive-zfs", "local"], nodeName: "pve", devices: true });
const gpu = settings.devices.gpu;
assert.ok(gpu !== undefined);

/** A host that has everything. */
const sound: HostObservation = {
  apiProblem: undefined,
  sshProblem: undefined,
  nodes: ["pve"],
  permissions: Object.fromEntries(needed.map(({ path, privileges }) => [path, [...privileges]])),
  tokenId: "hive@pve!pulumi",
  uid: 0,
  hasQm: true,
  bridges: ["vmbr0"],
  addresses: [{ iface: "vmbr0", address: "192.168.1.10" }],
  zfsPools: ["rpool"],
  storages: [{ id: "local", content: ["iso", "vztmpl", "snippets", "import", "backup"], freeMiB: 90_000 }],
  pci: [{ address: `${gpu.path}.0`, id: gpu.id, iommuGroup: gpu.iommuGroup }],
  usb: [settings.devices.tpu?.id ?? ""],
  ramMiB: settings.host.ramMiB - 2_400,
  topology: settings.host.topology,
  guests: [{ id: 900, name: "nas", ours: false }],
  objects: [{ kind: "bridge", id: "vmbr9", ours: false }],
  isos: ["local:iso/win10.iso", "local:iso/virtio-win.iso"],
};

const judge = (seen: HostObservation): ReturnType<typeof judgePreflight> =>
  judgePreflight(seen, settings, plan, declaredObjects(settings, plan));

interface Row {
  readonly what: string;
  readonly change: Partial<HostObservation>;
  readonly property: string;
  readonly value?: RegExp;
  readonly limit: RegExp;
  readonly fix: RegExp;
}

const rows: readonly Row[] = [
  {
    what: "a token that is refused",
    change: { apiProblem: { why: "GET /nodes: 401", isSilent: false } },
    property: "apiToken",
    value: /401/,
    limit: /https:\/\/192\.168\.1\.10/,
    fix: /pveum user token add .*pulumi config set --secret/,
  },
  {
    what: "no SSH",
    change: { sshProblem: { why: "All configured authentication methods failed", isSilent: false } },
    property: "ssh",
    value: /authentication/,
    limit: /root@192\.168\.1\.10:22/,
    fix: /^ssh-copy-id -p 22 root@/,
  },
  {
    what: "another device at the GPU's address",
    change: {
      pci: [
        { address: `${gpu.path}.0`, id: "8086:1533", iommuGroup: gpu.iommuGroup },
        { address: "0000:0a:00.0", id: gpu.id, iommuGroup: 20 },
      ],
    },
    property: "devices.gpu.id",
    value: new RegExp(gpu.id),
    limit: /8086:1533/,
    fix: /gpu\.path 0000:0a:00$/,
  },
  {
    what: "a login that is not root",
    change: { uid: 1000 },
    property: "ssh.user",
    value: /uid 1000/,
    limit: /uid 0/,
    fix: /root/,
  },
  {
    what: "a host that is no Proxmox",
    change: { hasQm: false },
    property: "ssh.host",
    value: /no qm/,
    limit: /Proxmox VE host/,
    fix: /ssh\.host/,
  },
  {
    what: "another node name",
    change: { nodes: ["proxmox"] },
    property: "nodeName",
    value: /^pve$/,
    limit: /one of proxmox/,
    fix: /config set hive:nodeName proxmox/,
  },
  {
    what: "no LAN bridge",
    change: { bridges: ["vmbr7"] },
    property: "networks.lan.bridge",
    value: /vmbr0/,
    limit: /vmbr7/,
    fix: /adopted, never made/,
  },
  {
    what: "a host that has a machine's address",
    change: { addresses: [{ iface: "vmbr0", address: lanNic.address }] },
    property: "networks.lan",
    value: new RegExp(`^${lanNic.address} for machine ${String(lanNic.machine)}$`),
    limit: /vmbr0 has it/,
    fix: /networks\.lan\.firstHost/,
  },
  {
    what: "no pool",
    change: { zfsPools: [] },
    property: "storage.pool",
    value: /rpool/,
    limit: /there is none/,
    fix: /zpool create rpool mirror/,
  },
  {
    what: "no file storage",
    change: { storages: [] },
    property: "storage.files",
    value: /local/,
    limit: /existing storage/,
    fix: /directory storage/,
  },
  {
    what: "a storage without snippets",
    change: { storages: [{ id: "local", content: ["iso", "vztmpl", "import"], freeMiB: 90_000 }] },
    property: "storage.files",
    value: /without snippets$/,
    limit: /snippets/,
    fix: /pvesm set local --content iso,vztmpl,import,snippets/,
  },
  {
    what: "a full storage",
    change: { storages: [{ id: "local", content: ["iso", "vztmpl", "snippets", "import"], freeMiB: 8_191 }] },
    property: "storage.files",
    value: /8191 MiB free/,
    limit: /8192 MiB/,
    fix: /Delete/,
  },
  {
    what: "no such PCI device",
    change: { pci: [{ address: "0000:0a:00.0", id: gpu.id, iommuGroup: 3 }] },
    property: "devices.gpu.path",
    value: /0000:01:00/,
    limit: /is at 0000:0a:00\.0/,
    fix: /lspci -D -nn/,
  },
  {
    what: "no IOMMU",
    change: { pci: [{ address: `${gpu.path}.0`, id: gpu.id, iommuGroup: -1 }] },
    property: "devices.gpu",
    value: /without IOMMU group/,
    limit: /IOMMU group/,
    fix: /intel_iommu=on iommu=pt/,
  },
  {
    what: "another IOMMU group",
    change: { pci: [{ address: `${gpu.path}.0`, id: gpu.id, iommuGroup: 77 }] },
    property: "devices.gpu.iommuGroup",
    limit: /^77$/,
    fix: /config set --path hive:devices\.gpu\.iommuGroup 77/,
  },
  { what: "no TPU", change: { usb: ["046d:c31c"] }, property: "devices.tpu.id", limit: /046d:c31c/, fix: /Plug it in/ },
  {
    what: "half the memory",
    change: { ramMiB: 64_000 },
    property: "host.ram",
    value: /131072 MiB/,
    limit: /64000 MiB/,
    fix: /free -m/,
  },
  {
    what: "other cores",
    change: { topology: { cpus: settings.host.topology.cpus.slice(0, 8) } },
    property: "host.topology",
    value: /32 CPUs on 16/,
    limit: /8 CPUs/,
    fix: /lscpu -J/,
  },
  {
    what: "a taken id",
    change: { guests: [{ id: 401, name: "nvr", ours: false }] },
    property: "guest 401",
    value: /taken by "nvr"/,
    limit: /free for cortex/,
    fix: /hive adopt --only 401/,
  },
  {
    what: "a bridge of somebody else",
    change: { objects: [{ kind: "bridge", id: "vmbr2", ours: false }] },
    property: "bridge vmbr2",
    value: /not ours/,
    limit: /state/,
    fix: /hive adopt --only vmbr2/,
  },
  {
    what: "the host's VLAN leg of somebody else",
    change: { objects: [{ kind: "bridge", id: "vmbr1.10", ours: false }] },
    property: "bridge vmbr1.10",
    limit: /state/,
    fix: /hive adopt --only vmbr1\.10/,
  },
  {
    what: "a storage of somebody else",
    change: { objects: [{ kind: "storage", id: "hive-zfs", ours: false }] },
    property: "storage hive-zfs",
    limit: /state/,
    fix: /hive adopt --only hive-zfs/,
  },
  {
    what: "a mapping of somebody else",
    change: { objects: [{ kind: "mapping", id: "usb/tpu-coral", ours: false }] },
    property: "resource mapping tpu-coral",
    limit: /state/,
    fix: /hive adopt --only tpu-coral/,
  },
  {
    what: "a missing ISO",
    change: { isos: ["local:iso/other.iso"] },
    property: "images.windowsIso",
    value: /win10/,
    limit: /other\.iso/,
    fix: /Upload it/,
  },
];

describe("preflight as a whole", () => {
  it("has no fault for a host that has everything", () => {
    assert.deepEqual(judge(sound), []);
  });

  for (const { what, change, property, value, limit, fix } of rows)
    it(`names ${what}: property, value, limit and fix, and nothing else`, () => {
      const faults = judge({ ...sound, ...change });
      assert.deepEqual(
        faults.map((fault) => fault.property),
        [property],
      );
      const [fault] = faults;
      assert.match(fault?.value ?? "", value ?? /./);
      assert.match(fault?.limit ?? "", limit);
      assert.match(fault?.fix ?? "", fix);
    });

  for (const { path, privileges } of needed)
    // A download is also allowed by Sys.Audit and Sys.Modify on /: see preflight.test.ts.
    for (const privilege of privileges.filter((each) => each !== "Sys.AccessNetwork"))
      it(`names ${privilege} when it is missing on ${path}`, () => {
        const permissions = {
          ...sound.permissions,
          [path]: privileges.filter((each) => each !== privilege),
        };
        const faults = judge({ ...sound, permissions });
        assert.deepEqual(
          faults.map(({ property, value }) => [property, value]),
          [[`privileges of hive@pve!pulumi on ${path}`, `without ${privilege}`]],
        );
        assert.ok(faults[0]?.limit.includes(privilege));
        assert.match(faults[0]?.fix ?? "", /pveum role modify Hive --append --privs ".*" && pveum acl modify /);
      });

  it("tells every fault at once", () => {
    const change: Partial<HostObservation> = Object.assign({}, ...rows.map((row) => row.change));
    const found = new Set(judge({ ...sound, ...change }).map(({ property }) => property));
    for (const property of [
      "apiToken",
      "ssh",
      "nodeName",
      "storage.pool",
      "host.ram",
      "guest 401",
      "images.windowsIso",
    ])
      assert.ok(found.has(property), property);
  });

  it("has no fault for any richer sound host, nor for what could not be asked (property)", () => {
    const names = fc.array(fc.stringMatching(/^[a-z]{1,8}9\d?$/), { maxLength: 4 });
    const strangers = fc.array(
      fc.record({ id: fc.integer({ min: 402, max: 9_999 }), name: fc.string(), ours: fc.boolean() }),
    );
    const part = fc.subarray<keyof HostObservation>([
      "nodes",
      "permissions",
      "bridges",
      "zfsPools",
      "storages",
      "pci",
      "usb",
      "ramMiB",
      "topology",
      "guests",
      "objects",
      "isos",
      "uid",
      "hasQm",
    ]);
    fc.assert(
      fc.property(names, strangers, fc.nat(1_000_000), part, fc.boolean(), (more, guests, spareMiB, blind, ours) => {
        const richer: HostObservation = {
          ...sound,
          nodes: [...more, "pve"],
          bridges: [...more, "vmbr0"],
          zfsPools: [...more, "rpool"],
          usb: [...more, ...(sound.usb ?? [])],
          guests: [...guests, ...plan.machines.map(({ id, hostname }) => ({ id, name: hostname, ours: true }))],
          objects: [
            ...more.map((id) => ({ kind: "bridge" as const, id, ours })),
            ...declaredObjects(settings, plan).map((object) => ({ ...object, ours: true })),
          ],
          ramMiB: settings.host.ramMiB + spareMiB,
        };
        const seen = { ...richer, ...Object.fromEntries(blind.map((name) => [name, undefined])) };
        assert.deepEqual(judge(seen), []);
      }),
    );
  });
});
