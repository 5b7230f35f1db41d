import type { RuleCases } from "./case.ts";
import {
  arena,
  bastion,
  brain,
  changed,
  council,
  district,
  estateWith,
  propsChanged,
  soundEstate,
  vm,
  worker,
} from "./estateFixture.ts";
import { unknown } from "./runRule.ts";

const stray = (bridge: unknown) => ({
  type: "proxmoxve:index/vmLegacy:VmLegacy",
  name: "stray",
  props: { nodeName: "pve", vmId: 150, networkDevices: [{ bridge }] },
});
/** Fixtures of the rules about the estate as a whole. */
export const estateCases: RuleCases = {
  "device-owner-single": [
    { title: "one owner", resources: soundEstate, violations: [] },
    {
      title: "two owners that start with the host",
      resources: estateWith("council", vm({ ...council, pci: "gpu-rtx3090" })),
      violations: [/Device gpu-rtx3090 goes to brain-vm and to council-vm/],
    },
    {
      title: "a contender that does not start with the host",
      resources: estateWith("district", vm({ ...district, pci: "gpu-rtx3090" })),
      violations: [],
    },
    {
      title: "a contender after the handoff: it runs, the owner does not",
      resources: changed(
        estateWith("district", vm({ ...district, pci: "gpu-rtx3090" }, { started: true })),
        "brain-vm",
        (r) => ({
          ...r,
          props: { ...r.props, started: false },
        }),
      ),
      violations: [],
    },
    {
      title: "a guest that Pulumi itself keeps running, though it does not start with the host",
      resources: changed(
        estateWith("district", vm({ ...district, pci: "gpu-rtx3090" }, { started: true })),
        "district-vm",
        (resource) => ({ ...resource, ignoreChanges: [] }),
      ),
      violations: [/Device gpu-rtx3090 goes to brain-vm and to district-vm, and both run/],
    },
    {
      title: "the provider's default keeps a guest running",
      resources: changed(
        estateWith("district", vm({ ...district, pci: "gpu-rtx3090" }, { started: undefined })),
        "district-vm",
        (resource) => ({ ...resource, ignoreChanges: [] }),
      ),
      violations: [/district-vm, and both run/],
    },
    {
      title: "a contender that Pulumi keeps stopped",
      resources: changed(
        estateWith("district", vm({ ...district, pci: "gpu-rtx3090" }, { started: false })),
        "district-vm",
        (resource) => ({ ...resource, ignoreChanges: [] }),
      ),
      violations: [],
    },
    {
      title: "a contender whose run state only the update will know",
      resources: changed(
        estateWith("district", vm({ ...district, pci: "gpu-rtx3090" }, { started: unknown.boolean })),
        "district-vm",
        (resource) => ({ ...resource, ignoreChanges: [] }),
      ),
      violations: [],
    },
    {
      title: "a contender that starts with the host",
      resources: estateWith("district", vm({ ...district, pci: "gpu-rtx3090", onBoot: true })),
      violations: [/goes to brain-vm and to district-vm/],
    },
    {
      title: "the provider's default starts a guest with the host",
      resources: estateWith("district", vm({ ...district, pci: "gpu-rtx3090" }, { onBoot: undefined })),
      violations: [/district-vm/],
    },
    {
      title: "one device twice on one guest",
      resources: vm(brain, { hostpcis: [{ mapping: "gpu-rtx3090" }, { mapping: "gpu-rtx3090" }] }),
      violations: [/brain-vm has device gpu-rtx3090 more than once/],
    },
    {
      title: "two unknown mappings are not the same",
      resources: [
        ...vm(brain, { hostpcis: [{ mapping: unknown.text }] }),
        ...vm(council, { hostpcis: [{ mapping: unknown.text }] }),
      ],
      violations: [],
    },
  ],
  "dmz-bridge-only": [
    { title: "the arena on vmbr2", resources: soundEstate, violations: [] },
    {
      title: "a second card",
      resources: vm({ ...arena, bridges: ["vmbr2", "vmbr1"] }),
      violations: [/also has a card on vmbr1/],
    },
    { title: "by its role", resources: vm({ ...arena, bridges: ["vmbr0"] }), violations: [/also has a card on vmbr0/] },
    {
      title: "a container",
      resources: worker(300, {
        networkInterfaces: [
          { name: "eth0", bridge: "vmbr2" },
          { name: "eth1", bridge: "vmbr0" },
        ],
      }),
      violations: [/worker-300-container is of the DMZ/],
    },
    {
      title: "several roles on the guest",
      resources: vm(arena, {
        tags: ["hive", "role-sandbox", "role-worker"],
        networkDevices: [{ bridge: "vmbr0" }],
      }),
      violations: [/also has a card on vmbr0/],
    },
    {
      title: "several roles by configuration",
      resources: vm({ ...arena, bridges: ["vmbr0"] }),
      config: { roles: ["guest", "sandbox"] },
      violations: [/also has a card on vmbr0/],
    },
    {
      title: "no guest",
      resources: [{ ...stray("vmbr0"), type: "custom:index:Thing", props: stray("vmbr2").props }],
      violations: [],
    },
    {
      title: "another bridge by configuration",
      resources: vm({ ...arena, bridges: ["vmbr9"] }),
      config: { bridge: "vmbr9" },
      violations: [],
    },
    { title: "unknown bridges", resources: vm(arena, { networkDevices: [{ bridge: unknown.text }] }), violations: [] },
    { title: "unknown cards", resources: vm(arena, { networkDevices: unknown.list }), violations: [] },
  ],
  "private-bridge-declared": [
    { title: "declared guests", resources: soundEstate, violations: [] },
    {
      title: "a stranger",
      resources: [...soundEstate, stray("vmbr1")],
      violations: [/not declared by a ProxmoxGuest/, /stray \(150\) is on vmbr1 and not in the machine table/],
    },
    { title: "a stranger elsewhere", resources: [...soundEstate, stray("vmbr0")], violations: [] },
    { title: "a stranger's unknown bridge", resources: [...soundEstate, stray(unknown.text)], violations: [] },
    {
      title: "the arena on the private bridge",
      resources: vm({ ...arena, bridges: ["vmbr1"] }),
      violations: [/\(103\) .* machine table/],
    },
    { title: "an uplink", resources: propsChanged("private", { ports: ["eno2"] }), violations: [/vmbr1 has 1 port/] },
    { title: "a worker", resources: worker(300, { networkInterfaces: [{ bridge: "vmbr1" }] }), violations: [] },
    {
      title: "a worker with two cards",
      resources: worker(350, { networkInterfaces: [{ bridge: "vmbr0" }, { bridge: "vmbr1" }] }),
      config: { workerIdMax: 349 },
      violations: [/\(350\) is on vmbr1 and not in the machine table/],
    },
    {
      title: "an uplink of another bridge",
      resources: propsChanged("private", { name: "vmbr0", ports: ["eno1"] }),
      violations: [],
    },
    {
      title: "something else that has ports",
      resources: [{ type: "custom:index:Switch", name: "switch", props: { name: "vmbr1", ports: ["1"] } }],
      violations: [],
    },
    { title: "an unknown uplink", resources: propsChanged("private", { ports: unknown.list }), violations: [] },
    {
      title: "more ids by configuration",
      resources: vm({ ...arena, bridges: ["vmbr1"] }),
      config: { ids: [103] },
      violations: [],
    },
  ],
  "memory-balloon-floors": [
    { title: "the seed's estate", resources: soundEstate, violations: [] },
    {
      title: "a contender that never runs beside the owner is not added to it",
      resources: estateWith("district", vm({ ...district, ramMiB: 32_768 })),
      violations: [],
    },
    {
      title: "the same without the exclusion",
      resources: estateWith("district", vm({ ...district, ramMiB: 32_768 })),
      config: { exclusions: [] },
      violations: [/need at least 140288 MiB; the host has 122880 MiB/],
    },
    {
      title: "the owner of the GPU alone is too big, exclusion or not",
      resources: [...vm({ ...brain, ramMiB: 100_000 }), ...vm(district), ...vm({ ...council, balloonMinMiB: 32_768 })],
      violations: [/need at least 132768 MiB/],
    },
    {
      title: "the contender is the bigger one",
      resources: [...vm(brain), ...vm({ ...district, ramMiB: 100_000 }), ...vm({ ...council, balloonMinMiB: 32_768 })],
      violations: [/need at least 132768 MiB/],
    },
    {
      title: "a VM without a size has the provider's",
      resources: vm(brain, { memory: undefined }),
      config: { ramMiB: 8192 + 511 },
      violations: [/need at least 512 MiB; the host has 511 MiB/],
    },
    {
      title: "a container without a size",
      resources: worker(300, { memory: undefined }),
      config: { ramMiB: 8192 },
      violations: [],
    },
    {
      title: "one MiB too much",
      resources: [...vm({ ...brain, ramMiB: 122_881 })],
      violations: [/need at least 122881 MiB; the host has 122880 MiB/],
    },
    { title: "to the last MiB", resources: [...vm({ ...brain, ramMiB: 122_880 })], violations: [] },
    {
      title: "a balloon counts with its floor",
      resources: vm({ ...council, ramMiB: 200_000, balloonMinMiB: 16_384 }),
      violations: [],
    },
    {
      title: "but not with a device passed through",
      resources: vm({ ...council, ramMiB: 200_000, balloonMinMiB: 16_384, pci: "gpu-rtx3090" }),
      violations: [/need at least 200000 MiB/],
    },
    {
      title: "nor on huge pages",
      resources: vm({ ...council, ramMiB: 200_000, balloonMinMiB: 16_384, hugepages: "1024" }),
      violations: [/need at least 200000 MiB/],
    },
    {
      title: "a smaller host by configuration",
      resources: soundEstate,
      config: { ramMiB: 65_536 },
      violations: [/the host has 57344 MiB/],
    },
    { title: "unknown memory", resources: vm(brain, { memory: unknown.object }), violations: [] },
  ],
  "startup-bastion-first": [
    { title: "the bastion is 1", resources: soundEstate, violations: [] },
    {
      title: "a guest beside it",
      resources: propsChanged("council-vm", { startup: { order: 1 } }),
      violations: [/council-vm has startup order 1/],
    },
    {
      title: "a worker before it",
      resources: [...vm({ ...bastion, order: 40 }), ...worker(300)],
      violations: [/order 30; allowed: above the bastion's 40/],
    },
    { title: "no order", resources: vm(bastion, { startup: undefined }), violations: [/bastion has no startup order/] },
    {
      title: "not started with the host",
      resources: vm(bastion, { onBoot: false }),
      violations: [/does not start with the host/],
    },
    {
      title: "a guest that is started by hand",
      resources: [...vm(bastion), ...vm({ ...district, order: 0 })],
      violations: [],
    },
    {
      title: "unknown order",
      resources: propsChanged("council-vm", { startup: { order: unknown.number } }),
      violations: [],
    },
    {
      title: "the bastion's order unknown",
      resources: propsChanged("bastion-vm", { startup: unknown.object }),
      violations: [],
    },
  ],
};
