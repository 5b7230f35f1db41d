import type { RuleCases } from "./case.ts";
import {
  brain,
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

const pinned = (affinity: string) => estateWith("trading-floor", vm({ ...trading, affinity }));

/** Fixtures of the rules about the trading guest's cores. */
export const tradingCases: RuleCases = {
  "trading-cores-physical": [
    { title: "two whole cores", resources: soundEstate, violations: [] },
    { title: "four whole cores", resources: pinned("1-4,17-20"), violations: [] },
    { title: "a sibling missing", resources: pinned("1-2,17"), violations: [/without the SMT siblings 18/] },
    { title: "four threads of four cores", resources: pinned("1-4"), violations: [/siblings 17,18,19,20/] },
    { title: "one core only", resources: pinned("1,17"), violations: [/1 physical cores; allowed: 2 to 4/] },
    { title: "five cores", resources: pinned("1-5,17-21"), violations: [/5 physical cores; allowed: 2 to 4/] },
    { title: "CPUs that the host lacks", resources: pinned("1-2,17-18,64"), violations: [/does not have: 64/] },
    { title: "no CPU list", resources: pinned("all"), violations: [/not a CPU list/] },
    { title: "no root step", resources: without("trading-floor-root-command"), violations: [/is not pinned/] },
    {
      title: "more vCPUs than threads",
      resources: estateWith("trading-floor", vm({ ...trading, vcpus: 6 })),
      violations: [/6 vCPUs on 4 hardware threads/],
    },
    {
      title: "siblings numbered side by side, by configuration",
      resources: pinned("2-5"),
      config: { physicalCores: ["0-1", "2-3", "4-5", "6-7"] },
      violations: [],
    },
    {
      title: "a script that only the update knows",
      resources: propsChanged("trading-floor-root-command", { create: unknown.text, update: unknown.text }),
      violations: [],
    },
    { title: "a stack without the trading guest", resources: vm(brain), violations: [] },
  ],
  "trading-cores-exclusive": [
    { title: "disjoint pins", resources: soundEstate, violations: [] },
    {
      title: "a shared thread",
      resources: estateWith("council", vm({ ...council, affinity: "2-15,19-31" })),
      violations: [/council-vm may run on the reserved CPUs 2\./],
    },
    {
      title: "only the sibling of a reserved thread",
      resources: estateWith("council", vm({ ...council, affinity: "17" })),
      violations: [/reserved CPUs 17\./],
    },
    {
      title: "the sibling that the trading guest itself forgot",
      resources: [...vm({ ...trading, affinity: "1-2" }), ...vm({ ...council, affinity: "17" })],
      violations: [/council-vm may run on the reserved CPUs 17/],
    },
    {
      title: "a guest that floats",
      resources: without("council-root-command"),
      violations: [/council-vm has no affinity: it may run on CPUs 1,2,17,18/],
    },
    {
      title: "containers that float",
      resources: without("host-cores-command"),
      violations: [/worker-300-container has no affinity/, /worker-301-container has no affinity/],
    },
    {
      title: "containers that the host confines by other means",
      resources: without("host-cores-command"),
      config: { checkContainers: false },
      violations: [],
    },
    {
      title: "another guest's script known only to the update",
      resources: propsChanged("council-root-command", { create: unknown.text, update: unknown.text }),
      violations: [],
    },
    { title: "no property known at all", resources: propsChangedToNothing("council-root-command"), violations: [] },
  ],
  "trading-ai-apart": [
    { title: "the GPU and the AI elsewhere", resources: soundEstate, violations: [] },
    {
      title: "the GPU on the trading guest",
      resources: estateWith("trading-floor", vm({ ...trading, pci: "gpu-rtx3090" })),
      violations: [/trading guest has GPU gpu-rtx3090/],
    },
    {
      title: "a raw PCI address on the trading guest",
      resources: propsChanged("trading-floor-vm", { hostpcis: [{ device: "hostpci0", id: "0000:01:00.0" }] }),
      violations: [/trading guest has GPU 0000:01:00\.0/],
    },
    {
      title: "a raw USB device on the trading guest is no GPU",
      resources: propsChanged("trading-floor-vm", { usbs: [{ host: "18d1:9302" }] }),
      violations: [],
    },
    {
      title: "a raw PCI address of another guest on the trading guest's cores",
      resources: [
        ...vm(trading),
        ...vm({ ...brain, role: "render", affinity: "1" }, { hostpcis: [{ id: "0000:03:00.0" }] }),
      ],
      violations: [],
    },
    {
      title: "a mapping by its whole name",
      resources: estateWith("trading-floor", vm({ ...trading, pci: "card" })),
      config: { gpuMappings: ["other", "card"] },
      violations: [/trading guest has GPU card/],
    },
    {
      title: "a mapping by the beginning of a whole name",
      resources: estateWith("trading-floor", vm({ ...trading, pci: "card-reader" })),
      config: { gpuMappings: ["card"] },
      violations: [],
    },
    {
      title: "the AI role on the trading guest",
      resources: propsChanged("trading-floor-vm", { tags: ["hive", "owner-pulumi", "role-trading", "role-ai"] }),
      violations: [/trading guest has role ai/],
    },
    {
      title: "AI on the trading guest's cores",
      resources: estateWith("council", vm({ ...council, affinity: "18-20" })),
      violations: [/council-vm has role ai and may run on the trading guest's CPUs 18/],
    },
    {
      title: "a GPU without the AI role on the trading guest's cores",
      resources: [...vm(trading), ...vm({ ...brain, role: "render", affinity: "1" })],
      violations: [/brain-vm has GPU gpu-rtx3090 and may run/],
    },
    {
      title: "another device by configuration",
      resources: soundEstate,
      config: { gpuMappings: ["tpu-coral"], aiRoles: [] },
      violations: [],
    },
    {
      title: "devices and tags known only to the update",
      resources: propsChanged("trading-floor-vm", { hostpcis: unknown.list, tags: unknown.list }),
      violations: [],
    },
    { title: "workers are no AI", resources: [...vm(trading), ...worker(300)], violations: [] },
  ],
};

function propsChangedToNothing(name: string) {
  return soundEstate.map((resource) => (resource.name === name ? { ...resource, props: {} } : resource));
}
