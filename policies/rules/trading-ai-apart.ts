import { overlap, readCpuSet, showCpus, withSiblings } from "../cpuSet.ts";
import { isKnown } from "../facts.ts";
import { type Breach, hostRule } from "../rule.ts";
import { coresOf, namesSchema, tradingConfig, tradingSchema } from "../topics.ts";

/** The trading guest has no GPU and no AI role, and no guest that has either runs on its cores. */
export default hostRule({
  name: "trading-ai-apart",
  description: "No GPU and no AI role on the trading guest, nor on its cores.",
  reason:
    "AI load on the trading machine slows the execution of orders, and its GPU driver's faults take it down (seed 001).",
  fix: "Give the GPU mapping and the tag role-ai to another guest, and pin that guest to other cores.",
  config: {
    defaults: { ...tradingConfig, aiRoles: ["ai"], gpuMappings: ["gpu-*"] },
    ofHost: coresOf,
    schema: {
      ...tradingSchema,
      aiRoles: namesSchema("Roles (tags role-<role>) that count as AI."),
      gpuMappings: namesSchema("Names of GPU resource mappings; a final * stands for any ending."),
    },
  },
  check: ({ guests }, config) => {
    const isGpu = (mapping: string) =>
      config.gpuMappings.some((name) =>
        name.endsWith("*") ? mapping.startsWith(name.slice(0, -1)) : mapping === name,
      );
    const trading = guests.find((g) => g.id === config.tradingId);
    const pins = trading?.rootStep?.affinity;
    const pinned = isKnown(pins) ? readCpuSet(pins) : undefined;
    const reserved = withSiblings(config.physicalCores, pinned ?? new Set());
    const breaches: Breach[] = [];
    for (const guest of guests) {
      const roles = isKnown(guest.roles) ? guest.roles.filter((role) => config.aiRoles.includes(role)) : [];
      const devices = isKnown(guest.devices) ? guest.devices : [];
      const gpus = devices.flatMap(({ bus, mapping, rawId }) => {
        if (isKnown(mapping) && isGpu(mapping)) return [mapping];
        // A raw PCI address tells nothing of the device: on the trading guest it may be the GPU.
        return guest === trading && bus === "pci" && isKnown(rawId) ? [rawId] : [];
      });
      const traits = [...roles.map((role) => `role ${role}`), ...gpus.map((gpu) => `GPU ${gpu}`)];
      if (traits.length === 0) continue;
      if (guest === trading) {
        breaches.push({ urn: guest.urn, found: `The trading guest has ${traits.join(" and ")}.` });
        continue;
      }
      const own = guest.rootStep?.affinity;
      const cpus = isKnown(own) ? readCpuSet(own) : undefined;
      const shared = cpus === undefined ? [] : overlap(cpus, reserved);
      if (shared.length > 0) {
        breaches.push({
          urn: guest.urn,
          found: `Guest ${guest.name} has ${traits.join(" and ")} and may run on the trading guest's CPUs ${showCpus(shared)}.`,
        });
      }
    }
    return breaches;
  },
});
