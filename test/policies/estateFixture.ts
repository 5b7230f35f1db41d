import type { FixtureResource } from "./runRule.ts";

/** What a guest of the fixture says; the rest follows from it. */
interface GuestSketch {
  readonly id: number;
  readonly name: string;
  readonly role: string;
  readonly ramMiB: number;
  readonly order: number;
  readonly bridges?: readonly string[];
  readonly affinity?: string;
  readonly hugepages?: string;
  readonly vcpus?: number;
  readonly balloonMinMiB?: number;
  readonly pci?: string;
  readonly usb?: string;
  readonly onBoot?: boolean;
  readonly protect?: boolean;
}

/** A VM as ProxmoxGuest declares it: the component, the VM and its root step. */
export function vm(sketch: GuestSketch, change: Readonly<Record<string, unknown>> = {}): readonly FixtureResource[] {
  const { id, name, role, affinity = "3-15,19-31", protect = false, onBoot = true } = sketch;
  const variables = `HIVE_VMID='${String(id)}'\nHIVE_AFFINITY='${affinity}'\nHIVE_HUGEPAGES='${sketch.hugepages ?? ""}'`;
  return [
    { type: "hive:index:ProxmoxGuest", name, props: { vmId: id, hostname: name } },
    {
      type: "proxmoxve:index/vmLegacy:VmLegacy",
      name: `${name}-vm`,
      parent: name,
      protect,
      ignoreChanges: ["started", "cpu.affinity", "memory.hugepages"],
      props: {
        nodeName: "pve",
        vmId: id,
        name,
        tags: ["hive", "owner-pulumi", `role-${role}`],
        cpu: { cores: sketch.vcpus ?? 4, type: "host" },
        memory: { dedicated: sketch.ramMiB, floating: sketch.balloonMinMiB ?? 0 },
        networkDevices: (sketch.bridges ?? ["vmbr0", "vmbr1"]).map((bridge) => ({ bridge, model: "virtio" })),
        hostpcis: sketch.pci === undefined ? [] : [{ device: "hostpci0", mapping: sketch.pci, pcie: true }],
        usbs: sketch.usb === undefined ? [] : [{ mapping: sketch.usb }],
        serialDevices: [{ device: "socket" }],
        agent: { enabled: true, timeout: "180s" },
        startup: { order: sketch.order },
        onBoot,
        started: false,
        protection: protect,
        ...change,
      },
    },
    { type: "hive:index:RootStep", name: `${name}-root`, parent: name, props: {} },
    {
      type: "command:remote:Command",
      name: `${name}-root-command`,
      parent: `${name}-root`,
      props: {
        connection: { host: "pve", user: "root" },
        create: `set -eu\n${variables}\n`,
        update: `set -eu\n${variables}\n`,
      },
    },
  ];
}

/** A worker as ProxmoxGuest declares it. */
export function worker(id: number, change: Readonly<Record<string, unknown>> = {}): readonly FixtureResource[] {
  const name = `worker-${String(id)}`;
  return [
    { type: "hive:index:ProxmoxGuest", name, props: { vmId: id, hostname: name } },
    {
      type: "proxmoxve:index/containerLegacy:ContainerLegacy",
      name: `${name}-container`,
      parent: name,
      props: {
        nodeName: "pve",
        vmId: id,
        tags: ["hive", "owner-pulumi", "role-worker"],
        cpu: { cores: 1 },
        memory: { dedicated: 512, swap: 0 },
        networkInterfaces: [{ name: "eth0", bridge: "vmbr0" }],
        startup: { order: 30 },
        startOnBoot: true,
        protection: false,
        ...change,
      },
    },
  ];
}

export const brain = {
  id: 100,
  name: "brain",
  role: "ai",
  ramMiB: 65_536,
  order: 3,
  pci: "gpu-rtx3090",
  protect: true,
  vcpus: 8,
};
export const council = { id: 101, name: "council", role: "ai", ramMiB: 32_768, order: 4, balloonMinMiB: 16_384 };
export const district = {
  id: 102,
  name: "district",
  role: "render",
  ramMiB: 16_384,
  order: 6,
  bridges: ["vmbr1"],
  onBoot: false,
};
export const arena = {
  id: 103,
  name: "arena",
  role: "sandbox",
  ramMiB: 4096,
  order: 7,
  bridges: ["vmbr2"],
  onBoot: false,
};
export const trading = {
  id: 200,
  name: "trading-floor",
  role: "trading",
  ramMiB: 8192,
  order: 2,
  affinity: "1-2,17-18",
  hugepages: "1024",
  protect: true,
};
export const bastion = { id: 400, name: "bastion", role: "security", ramMiB: 4096, order: 1, protect: true, vcpus: 2 };
export const cortex = { id: 401, name: "visual-cortex", role: "vision", ramMiB: 8192, order: 5, usb: "tpu-coral" };

/** What the host itself is given: the snapshot schedule, the CPUs left to containers, the private bridge. */
export const host: readonly FixtureResource[] = [
  {
    type: "command:remote:Command",
    name: "host-snapshots-command",
    props: { create: "HIVE_SNAPSHOT_GUESTS='100,101,200,400,401'\n" },
  },
  {
    type: "command:remote:Command",
    name: "host-cores-command",
    props: { create: "HIVE_CONTAINER_CPUS='3-15,19-31'\n" },
  },
  {
    type: "proxmoxve:network/linux/bridge:Bridge",
    name: "private",
    props: { nodeName: "pve", name: "vmbr1", mtu: 9000 },
  },
];

/** The seed's whole estate, which breaks no rule. */
export const soundEstate: readonly FixtureResource[] = [
  ...host,
  ...[brain, council, district, arena, trading, bastion, cortex].flatMap((sketch) => vm(sketch)),
  ...worker(300),
  ...worker(301),
];

/** The estate with everything of one guest's component replaced. */
export function estateWith(name: string, replacement: readonly FixtureResource[]): readonly FixtureResource[] {
  const owned = new Set([name, `${name}-vm`, `${name}-container`, `${name}-root`, `${name}-root-command`]);
  return [...soundEstate.filter((resource) => !owned.has(resource.name)), ...replacement];
}

/** Resources with one of them changed. */
export function changed(
  resources: readonly FixtureResource[],
  name: string,
  change: (resource: FixtureResource) => FixtureResource,
): readonly FixtureResource[] {
  return resources.map((resource) => (resource.name === name ? change(resource) : resource));
}

/** The estate with properties of one resource changed. */
export function propsChanged(name: string, props: Readonly<Record<string, unknown>>): readonly FixtureResource[] {
  return changed(soundEstate, name, (resource) => ({ ...resource, props: { ...resource.props, ...props } }));
}

/** The estate without some resources. */
export function without(...names: readonly string[]): readonly FixtureResource[] {
  return soundEstate.filter((resource) => !names.includes(resource.name));
}
