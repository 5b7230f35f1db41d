import { smtTopology } from "../../components/shared/topology.ts";
import type { RuleCases } from "./case.ts";
import { arena, bastion, brain, council, district, host, trading, vm, worker } from "./estateFixture.ts";
import type { FixtureResource } from "./runRule.ts";
import { unknown } from "./runRule.ts";

const topology = smtTopology({ sockets: 1, coresPerSocket: 8, threadsPerCore: 2, numbering: "adjacent" });
const bridges = { lan: "vmbr7", private: "vmbr8", dmz: "vmbr9" };

/** A host of 8 cores whose siblings are neighbours, with 64 GB and bridges of its own names, as genesis declares it. */
const declared = (change: Readonly<Record<string, unknown>> = {}): FixtureResource => ({
  type: "hive:index:Host",
  name: "host",
  props: { topology, ramMiB: 65_536, arcMiB: 2048, reservedMiB: 3072, bridges, ...change },
});

/** Host steps and private bridge of that host. */
const hostSteps: readonly FixtureResource[] = host.map((resource) =>
  resource.name === "host-cores-command"
    ? { ...resource, props: { create: "HIVE_CONTAINER_CPUS='6-15'\n" } }
    : resource.name === "private"
      ? { ...resource, props: { ...resource.props, name: "vmbr8" } }
      : resource,
);

const rest = { affinity: "6-15", bridges: ["vmbr7", "vmbr8"] };
const smallBrain = { ...brain, ...rest, ramMiB: 24_576 };
const smallTrading = { ...trading, affinity: "2-5", bridges: ["vmbr7", "vmbr8"] };
const smallArena = { ...arena, affinity: "6-15", bridges: ["vmbr9"] };
const smallWorker = worker(300, { networkInterfaces: [{ name: "eth0", bridge: "vmbr7" }] });

const estateOf = (
  facts: FixtureResource,
  change: { readonly trading?: object; readonly arena?: object; readonly brain?: object } = {},
): readonly FixtureResource[] => [
  facts,
  ...hostSteps,
  ...vm({ ...smallBrain, ...change.brain }),
  ...vm({ ...council, ...rest, ramMiB: 8192, balloonMinMiB: 4096 }),
  ...vm({ ...district, ...rest, ramMiB: 8192, bridges: ["vmbr8"] }),
  ...vm({ ...smallArena, ...change.arena }),
  ...vm({ ...smallTrading, ...change.trading }),
  ...vm({ ...bastion, ...rest, bridges: ["vmbr7", "vmbr8", "vmbr9"] }),
  ...smallWorker,
];

const sound = { title: "a sound estate on another host", resources: estateOf(declared()), violations: [] };

/** Fixtures of the rules that judge by the host which the stack declares. */
export const hostCases: RuleCases = {
  "trading-cores-physical": [
    sound,
    {
      title: "a sibling of the declared host missing",
      resources: estateOf(declared(), { trading: { affinity: "2-4" } }),
      violations: [/without the SMT siblings 5\./],
    },
    {
      title: "CPUs that the seed's host has and the declared one lacks",
      resources: estateOf(declared(), { trading: { affinity: "1-2,17-18" } }),
      violations: [/does not have: 17,18/],
    },
    {
      title: "the configuration before the declared host",
      resources: estateOf(declared()),
      config: { physicalCores: ["0,8", "1,9", "2,10", "3,11", "4,12", "5,13", "6,14", "7,15"] },
      violations: [/without the SMT siblings 10,11,12,13/],
    },
    {
      title: "a declared host that is not known, by the seed's",
      resources: estateOf(declared({ topology: unknown.object })),
      violations: [/without the SMT siblings 18,19,20,21/],
    },
  ],
  "trading-cores-exclusive": [
    sound,
    {
      title: "the declared host's sibling of a reserved thread",
      resources: estateOf(declared(), { trading: { affinity: "2-4" }, brain: { affinity: "5-15" } }),
      violations: [/brain-vm may run on the reserved CPUs 5\./],
    },
  ],
  "trading-ai-apart": [
    sound,
    {
      title: "AI on the declared host's sibling of a reserved thread",
      resources: estateOf(declared(), { trading: { affinity: "2-4" }, brain: { affinity: "5-15" } }),
      violations: [/brain-vm has role ai and GPU .* CPUs 5\./],
    },
  ],
  "dmz-bridge-only": [
    sound,
    {
      title: "a second card beside the renamed DMZ's",
      resources: estateOf(declared(), { arena: { role: "render", bridges: ["vmbr9", "vmbr8"] } }),
      violations: [/of the DMZ \(vmbr9\) and also has a card on vmbr8/],
    },
    {
      title: "the configuration before the declared host",
      resources: estateOf(declared()),
      config: { bridge: "vmbr2" },
      violations: [/of the DMZ \(vmbr2\) and also has a card on vmbr9/],
    },
  ],
  "private-bridge-declared": [
    sound,
    {
      title: "the arena on the renamed private bridge",
      resources: estateOf(declared(), { arena: { bridges: ["vmbr8"] } }),
      violations: [/\(103\) is on vmbr8 and not in the machine table/],
    },
  ],
  "memory-balloon-floors": [
    sound,
    {
      title: "what fits the seed's host and not the declared one",
      resources: estateOf(declared(), { brain: { ramMiB: 49_152 } }),
      violations: [/the host has 60416 MiB for them \(65536 MiB less 2048 for the ZFS cache and 3072 for itself\)/],
    },
    {
      title: "the configuration before the declared host",
      resources: estateOf(declared()),
      config: { ramMiB: 32_768 },
      violations: [/the host has 27648 MiB/],
    },
  ],
};
