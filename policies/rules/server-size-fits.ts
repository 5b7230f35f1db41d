import type { PolicyResource } from "@pulumi/policy";
import { agentKinds, describeSize, isOfSize, vpsSizes, type VpsSize } from "../../components/shared/vps/sizing.ts";
import { isGuest, readGuest } from "../estate.ts";
import { isKnown, numberAt, stringAt, unknownYet } from "../facts.ts";
import { type Breach, stackRule } from "../rule.ts";
import { componentAround, instanceType, isServer, propsOf, serverType } from "../servers.ts";

const sizesByKind: Readonly<Record<string, readonly string[]>> = Object.fromEntries(
  Object.entries(agentKinds).map(([kind, { sizes }]) => [kind, [...sizes]]),
);

function isSize(text: string): text is VpsSize {
  return Object.hasOwn(vpsSizes, text);
}

/** Faults of what a server was decided to be: its kind, its size, and the offer of that size. */
function decisionFaults(server: PolicyResource, sizes: Readonly<Record<string, unknown>>): readonly string[] {
  const { name } = server;
  const props = propsOf(server);
  const kind = stringAt(props, "kind");
  const size = stringAt(props, "size");
  if (kind === undefined || size === undefined) return [`Server ${name} does not say its kind and its size.`];
  if (kind === unknownYet || size === unknownYet) return [];
  const allowed = Object.hasOwn(sizes, kind) ? sizes[kind] : undefined;
  if (!Array.isArray(allowed)) return [`Server ${name} is for the kind ${kind}, which has no size.`];
  if (!allowed.includes(size))
    return [`Server ${name} has size ${size} for the kind ${kind}; allowed: ${allowed.join(", ")}.`];
  const ramMiB = numberAt(props, "offer", "ramMiB");
  const vcpus = numberAt(props, "offer", "vcpus");
  if (!isKnown(ramMiB) || !isKnown(vcpus) || !isSize(size) || isOfSize(size, { ramMiB, vcpus })) return [];
  return [
    `Server ${name} has ${String(ramMiB)} MiB and ${String(vcpus)} vCPUs; allowed for size ${size}: ${describeSize(size)}.`,
  ];
}

/** Faults of the machine beside what was decided: it may not be another one. */
function machineFaults(machine: PolicyResource, decided: PolicyResource): readonly string[] {
  const offer = stringAt(decided.props, "offer", "id");
  const { name } = machine;
  if (machine.type === instanceType) {
    const bundle = stringAt(propsOf(machine), "bundleId");
    const same = !isKnown(bundle) || !isKnown(offer) || bundle === offer;
    return same ? [] : [`Server ${name} is the bundle ${bundle}; decided was ${offer}.`];
  }
  if (!isGuest(machine)) return [];
  const { ramMiB, vcpus } = readGuest(machine);
  const wanted = {
    ramMiB: numberAt(decided.props, "offer", "ramMiB"),
    vcpus: numberAt(decided.props, "offer", "vcpus"),
  };
  const found: string[] = [];
  if (isKnown(ramMiB) && isKnown(wanted.ramMiB) && ramMiB !== wanted.ramMiB)
    found.push(`Server ${name} has ${String(ramMiB)} MiB; decided was ${String(wanted.ramMiB)}.`);
  if (isKnown(vcpus) && isKnown(wanted.vcpus) && vcpus !== wanted.vcpus)
    found.push(`Server ${name} has ${String(vcpus)} vCPUs; decided was ${String(wanted.vcpus)}.`);
  return found;
}

/** The seed's grid holds. */
export default stackRule({
  name: "server-size-fits",
  description: "A server has a size that the sizing grid gives to its kind of agent, and is the machine of that size.",
  reason:
    "On less than its floor an agent is killed for its memory again and again; on more it pays for what it does not use (seed 004, sizing grid).",
  fix: "Leave size out to get the floor of the kind, or choose the kind of agent that needs the size.",
  config: {
    defaults: { sizes: sizesByKind },
    schema: { sizes: { type: "object", description: "Sizes allowed for each kind of agent." } },
  },
  check: (_, config, resources) => {
    const breaches: Breach[] = resources
      .filter(({ type }) => type === serverType)
      .flatMap((server) => decisionFaults(server, config.sizes).map((found) => ({ urn: server.urn, found })));
    for (const machine of resources.filter(isServer)) {
      const decided = componentAround(machine, serverType, resources);
      const faults =
        decided === undefined
          ? [`Server ${machine.name} is not declared through Vps, so nobody knows what kind it is for.`]
          : machineFaults(machine, decided);
      breaches.push(...faults.map((found) => ({ urn: machine.urn, found })));
    }
    return breaches;
  },
});
