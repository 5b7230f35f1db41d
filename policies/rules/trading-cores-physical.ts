import { coresTouched, readCpuSet, showCpus } from "../cpuSet.ts";
import { isKnown, unknownYet } from "../facts.ts";
import { hostRule } from "../rule.ts";
import { coresOf, tradingConfig, tradingSchema } from "../topics.ts";

/** Whole physical cores for the trading guest, as many as the seed allows. */
export default hostRule({
  name: "trading-cores-physical",
  description: "The trading guest is pinned to two to four whole physical cores, SMT siblings included.",
  reason:
    "Two threads of one core share its units and caches: an order waits while the sibling computes (seed 001, Latence Trading).",
  fix: "Pin it to whole cores of the host (`lscpu -e=CPU,CORE`): every core with both of its threads, for example 1-2,17-18.",
  config: {
    defaults: { ...tradingConfig, minCores: 2, maxCores: 4 },
    ofHost: coresOf,
    schema: {
      ...tradingSchema,
      minCores: { type: "integer", minimum: 1, description: "Fewest physical cores." },
      maxCores: { type: "integer", minimum: 1, description: "Most physical cores." },
    },
  },
  check: ({ guests }, config) => {
    const guest = guests.find((g) => g.id === config.tradingId);
    if (guest === undefined) return [];
    const affinity = guest.rootStep?.affinity;
    if (affinity === unknownYet) return [];
    const breach = (found: string) => [{ urn: guest.urn, found: `Guest ${String(config.tradingId)} ${found}` }];
    if (!isKnown(affinity) || affinity === "") return breach("is not pinned: no affinity is set for it.");
    const cpus = readCpuSet(affinity);
    if (cpus === undefined) return breach("has an affinity that is not a CPU list.");
    const cores = coresTouched(config.physicalCores, cpus);
    const present = new Set(cores.flatMap((core) => [...core]));
    const absent = [...cpus].filter((cpu) => !present.has(cpu));
    if (absent.length > 0) return breach(`is pinned to CPUs that the host does not have: ${showCpus(absent)}.`);
    const missing = [...present].filter((cpu) => !cpus.has(cpu));
    if (missing.length > 0) return breach(`is pinned to ${affinity} without the SMT siblings ${showCpus(missing)}.`);
    if (cores.length < config.minCores || cores.length > config.maxCores) {
      return breach(
        `is pinned to ${String(cores.length)} physical cores; allowed: ${String(config.minCores)} to ${String(config.maxCores)}.`,
      );
    }
    if (isKnown(guest.vcpus) && guest.vcpus > cpus.size) {
      return breach(`has ${String(guest.vcpus)} vCPUs on ${String(cpus.size)} hardware threads.`);
    }
    return [];
  },
});
