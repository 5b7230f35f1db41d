import type { RuleCases } from "./case.ts";
import {
  bastion,
  brain,
  changed,
  council,
  estateWith,
  propsChanged,
  soundEstate,
  trading,
  vm,
  without,
  worker,
} from "./estateFixture.ts";
import { unknown } from "./runRule.ts";

const agent = (value: unknown) => propsChanged("brain-vm", { agent: value });
const unlisted = { type: "proxmoxve:index/vmLegacy:VmLegacy", name: "stray", props: { nodeName: "pve", vmId: 150 } };

/** Fixtures of the rules about single guests. */
export const guestCases: RuleCases = {
  "guest-id-range": [
    { title: "the seed's ids", resources: soundEstate, violations: [] },
    { title: "below", resources: vm({ ...brain, id: 99 }), violations: [/id 99; allowed: 100 to 401/] },
    { title: "above", resources: vm({ ...brain, id: 402 }), violations: [/id 402; allowed: 100 to 401/] },
    {
      title: "a VM among the workers",
      resources: vm({ ...brain, id: 320 }),
      violations: [/id 320, which is for workers/],
    },
    {
      title: "a worker elsewhere",
      resources: worker(150),
      violations: [/Worker .* id 150; allowed for workers: 300 to 399/],
    },
    { title: "no id", resources: propsChanged("brain-vm", { vmId: undefined }), violations: [/no id of its own/] },
    { title: "unknown id", resources: propsChanged("brain-vm", { vmId: unknown.number }), violations: [] },
    { title: "unknown tags", resources: vm({ ...brain, id: 320 }, { tags: unknown.list }), violations: [] },
    {
      title: "a wider range by configuration",
      resources: vm({ ...brain, id: 900 }),
      config: { idMax: 999 },
      violations: [],
    },
  ],
  "guest-id-unique": [
    { title: "all different", resources: soundEstate, violations: [] },
    {
      title: "a VM and a container with one id",
      resources: [...soundEstate, ...vm({ ...brain, name: "twin", id: 300 })],
      violations: [/both have id 300/],
    },
    {
      title: "two unknown ids are not the same",
      resources: [...vm(brain, { vmId: unknown.number }), ...vm(council, { vmId: unknown.number })],
      violations: [],
    },
  ],
  "guest-tags": [
    { title: "all tagged", resources: soundEstate, violations: [] },
    {
      title: "no tags",
      resources: propsChanged("brain-vm", { tags: undefined }),
      violations: [/lacks the tag hive/, /0 tags role-…/, /0 tags owner-…/],
    },
    {
      title: "no owner",
      resources: propsChanged("brain-vm", { tags: ["hive", "role-ai"] }),
      violations: [/0 tags owner-…/],
    },
    {
      title: "two roles",
      resources: propsChanged("brain-vm", { tags: ["hive", "role-ai", "role-render", "owner-pulumi"] }),
      violations: [/2 tags role-…/],
    },
    {
      title: "a role that does not exist",
      resources: propsChanged("brain-vm", { tags: ["hive", "role-mining", "owner-pulumi"] }),
      violations: [/role mining; allowed: ai, trading/],
    },
    {
      title: "a new role by configuration",
      resources: vm({ ...brain, role: "lab" }),
      config: { roles: ["lab"] },
      violations: [],
    },
    { title: "unknown tags", resources: propsChanged("brain-vm", { tags: unknown.list }), violations: [] },
    { title: "one unknown tag", resources: propsChanged("brain-vm", { tags: ["hive", unknown.text] }), violations: [] },
  ],
  "guest-protection": [
    { title: "protected twice", resources: soundEstate, violations: [] },
    {
      title: "not protected at all",
      resources: estateWith("brain", vm({ ...brain, protect: false })),
      violations: [/brain-vm \(100\) has no Proxmox protection/, /brain-vm \(100\) has no Pulumi protection/],
    },
    {
      title: "only in Pulumi",
      resources: propsChanged("bastion-vm", { protection: false }),
      violations: [/bastion-vm \(400\) has no Proxmox protection/],
    },
    {
      title: "only in Proxmox",
      resources: changed(soundEstate, "trading-floor-vm", (resource) => ({ ...resource, protect: false })),
      violations: [/trading-floor-vm \(200\) has no Pulumi protection/],
    },
    {
      title: "unknown in Proxmox",
      resources: propsChanged("bastion-vm", { protection: unknown.boolean }),
      violations: [],
    },
    {
      title: "no such guest by configuration",
      resources: vm({ ...brain, protect: false }),
      config: { ids: [] },
      violations: [],
    },
  ],
  "guest-snapshots": [
    { title: "covered by the host's step", resources: soundEstate, violations: [] },
    {
      title: "covered by the component",
      resources: [
        ...without("host-snapshots-command"),
        { type: "hive:index:HostStorage", name: "storage", props: { snapshotGuests: [100, 200, 400] } },
      ],
      violations: [],
    },
    {
      title: "one forgotten",
      resources: propsChanged("host-snapshots-command", { create: "HIVE_SNAPSHOT_GUESTS='100,101,400'\n" }),
      violations: [/covers guest trading-floor-vm \(200\)/],
    },
    {
      title: "no schedule",
      resources: without("host-snapshots-command"),
      violations: [/brain-vm/, /trading-floor-vm/, /bastion-vm/],
    },
    {
      title: "unknown schedule",
      resources: propsChanged("host-snapshots-command", { create: unknown.text }),
      violations: [],
    },
  ],
  "agent-timeout-set": [
    { title: "a timeout", resources: soundEstate, violations: [] },
    { title: "disabled", resources: agent({ enabled: false }), violations: [] },
    { title: "no timeout", resources: agent({ enabled: true }), violations: [/agent\.timeout is missing on brain-vm/] },
    {
      title: "the provider's 15 minutes",
      resources: agent({ enabled: true, timeout: "15m" }),
      violations: [/15m; allowed: at most 600 s/],
    },
    {
      title: "compound duration",
      resources: agent({ enabled: true, timeout: "10m0.5s" }),
      violations: [/10m0\.5s; allowed/],
    },
    { title: "zero", resources: agent({ enabled: true, timeout: "0s" }), violations: [/not a duration/] },
    { title: "no duration", resources: agent({ enabled: true, timeout: "soon" }), violations: [/not a duration/] },
    { title: "unknown timeout", resources: agent({ enabled: true, timeout: unknown.text }), violations: [] },
    { title: "unknown agent", resources: agent(unknown.object), violations: [] },
    {
      title: "stricter by configuration",
      resources: vm(brain),
      config: { maxTimeoutSec: 60 },
      violations: [/at most 60 s/],
    },
  ],
  "vm-legacy-only": [
    { title: "VmLegacy", resources: soundEstate, violations: [] },
    {
      title: "Vm",
      resources: [{ type: "proxmoxve:index/vm:Vm", name: "new", props: {} }],
      violations: [/new is of type proxmoxve:index\/vm:Vm/],
    },
  ],
  "root-field-declared": [
    { title: "nothing root-only", resources: soundEstate, violations: [] },
    {
      title: "what the root step set and a refresh read",
      resources: propsChanged("brain-vm", {
        cpu: { cores: 8, affinity: "3-15" },
        memory: { dedicated: 65_536, hugepages: "1024" },
      }),
      violations: [],
    },
    {
      title: "every field of a VM",
      resources: changed(
        propsChanged("brain-vm", {
          cpu: { cores: 8, affinity: "3-15" },
          memory: { dedicated: 65_536, hugepages: "1024", keepHugepages: true },
          hookScriptFileId: "local:snippets/hook.pl",
          kvmArguments: "-no-hpet",
          hostpcis: [
            { device: "hostpci0", mapping: "gpu" },
            { device: "hostpci1", id: "0000:01:00" },
          ],
          usbs: [{ host: "18d1:9302" }, { host: "spice" }],
          serialDevices: [{ device: "/dev/ttyS0" }],
        }),
        "brain-vm",
        (resource) => ({ ...resource, ignoreChanges: ["started"] }),
      ),
      violations: [
        /cpu\.affinity/,
        /memory\.hugepages/,
        /hookScriptFileId/,
        /kvmArguments/,
        /memory\.keepHugepages/,
        /hostpcis\[1\]\.id/,
        /usbs\[0\]\.host/,
        /serialDevices\[0\]\.device/,
      ],
    },
    {
      title: "every field of a container",
      resources: worker(300, {
        hookScriptFileId: "local:snippets/hook.pl",
        features: { __defaults: ["keyctl"], nesting: true, fuse: true, keyctl: false, mounts: ["nfs"] },
        devicePassthroughs: [{ path: "/dev/dri/renderD128" }],
        idmaps: [{ type: "uid", containerId: 0, hostId: 1000, size: 1 }],
        mountPoints: [
          { volume: "hive-zfs:8", path: "/data" },
          { volume: "/srv/data", path: "/srv" },
        ],
      }),
      violations: [
        /hookScriptFileId/,
        /features\.fuse/,
        /features\.mounts/,
        /devicePassthroughs\[0\]\.path/,
        /idmaps\[0\]/,
        /mountPoints\[1\]\.volume/,
      ],
    },
    {
      title: "unknown fields",
      resources: propsChanged("brain-vm", { cpu: unknown.object, hostpcis: unknown.list, kvmArguments: unknown.text }),
      violations: [],
    },
  ],
  "root-step-present": [
    { title: "a step for each VM", resources: soundEstate, violations: [] },
    {
      title: "no step",
      resources: without("council-root-command"),
      violations: [/council-vm \(101\) has no root step/],
    },
    {
      title: "two steps for one guest",
      resources: propsChanged("council-root-command", {
        create: "HIVE_VMID='100'\nHIVE_AFFINITY='4'\n",
        update: undefined,
      }),
      violations: [/Guest 100 has more than one root step/, /council-vm \(101\) has no root step/],
    },
    {
      title: "variables in the command's environment",
      resources: propsChanged("bastion-root-command", {
        create: "true",
        update: "true",
        environment: { HIVE_VMID: "400", HIVE_AFFINITY: "3-4", HIVE_HUGEPAGES: "" },
      }),
      violations: [],
    },
    {
      title: "a step known only to the update",
      resources: propsChanged("bastion-root-command", { create: unknown.text, update: unknown.text }),
      violations: [],
    },
    {
      title: "no guests by configuration",
      resources: [unlisted, ...vm(bastion).slice(0, 2)],
      config: { ids: [] },
      violations: [],
    },
    {
      title: "no step at all",
      resources: [unlisted, ...vm(trading).slice(0, 2)],
      violations: [/trading-floor-vm \(200\) has no root step/],
    },
  ],
};
