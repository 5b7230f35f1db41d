import { type Estate, type Guest } from "../estate.ts";
import { overlap, readCpuSet, showCpus, withSiblings } from "../cpuSet.ts";
import { type Maybe, isKnown, unknownYet } from "../facts.ts";
import { hostRule } from "../rule.ts";
import { coresOf, tradingConfig, tradingSchema } from "../topics.ts";

/** Nobody else on the trading guest's cores, nor on their SMT siblings. */
export default hostRule({
  name: "trading-cores-exclusive",
  description: "No other guest may run on the trading guest's cores or on their SMT siblings.",
  reason: "A busy neighbour on the same physical core delays an order (seed 001: forbid these cores to the AI).",
  fix: "Give every other guest an affinity without these CPUs; a guest without affinity runs on all of them.",
  config: {
    defaults: { ...tradingConfig, checkContainers: true },
    ofHost: coresOf,
    schema: {
      ...tradingSchema,
      checkContainers: {
        type: "boolean",
        description:
          "False where the host itself keeps containers off these cores by means that the stack does not show.",
      },
    },
  },
  check: (estate, config) => {
    const trading = estate.guests.find((g) => g.id === config.tradingId);
    const pins = trading?.rootStep?.affinity;
    const pinned = isKnown(pins) ? readCpuSet(pins) : undefined;
    if (pinned === undefined) return [];
    const reserved = withSiblings(config.physicalCores, pinned);
    return estate.guests.flatMap((guest) => {
      if (guest === trading || (guest.kind === "container" && !config.checkContainers)) return [];
      const affinity = affinityOf(guest, estate);
      if (affinity === unknownYet) return [];
      const cpus = affinity === undefined ? undefined : readCpuSet(affinity);
      if (cpus === undefined) {
        return [
          { urn: guest.urn, found: `Guest ${guest.name} has no affinity: it may run on CPUs ${showCpus(reserved)}.` },
        ];
      }
      const shared = overlap(cpus, reserved);
      return shared.length === 0
        ? []
        : [{ urn: guest.urn, found: `Guest ${guest.name} may run on the reserved CPUs ${showCpus(shared)}.` }];
    });
  },
});

function affinityOf(guest: Guest, estate: Estate): Maybe<string> {
  const own = guest.rootStep?.affinity;
  return own === undefined && guest.kind === "container" ? estate.containerCpus : own;
}
