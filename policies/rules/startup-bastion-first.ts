import { isKnown } from "../facts.ts";
import { type Breach, stackRule } from "../rule.ts";
import { bastionId } from "../topics.ts";

/** The bastion is up before anything that it guards. */
export default stackRule({
  name: "startup-bastion-first",
  description: "The bastion starts before every other guest.",
  reason:
    "Guests that start before the bastion's firewall and sensors are unwatched while they start (seed 001, guest 400).",
  fix: "Give the bastion the lowest startup order of all.",
  config: {
    defaults: { bastionId },
    schema: { bastionId: { type: "integer", description: "Id of the bastion." } },
  },
  check: ({ guests }, config) => {
    const bastion = guests.find((guest) => guest.id === config.bastionId);
    if (bastion === undefined) return [];
    const breaches: Breach[] = [];
    if (bastion.onBoot === false)
      breaches.push({ urn: bastion.urn, found: "The bastion does not start with the host." });
    const first = bastion.startupOrder;
    if (first === undefined) breaches.push({ urn: bastion.urn, found: "The bastion has no startup order." });
    if (!isKnown(first)) return breaches;
    for (const guest of guests) {
      if (guest === bastion || guest.onBoot === false) continue;
      const order = guest.startupOrder;
      // Proxmox starts guests without an order after all others.
      if (isKnown(order) && order <= first) {
        breaches.push({
          urn: guest.urn,
          found: `Guest ${guest.name} has startup order ${String(order)}; allowed: above the bastion's ${String(first)}.`,
        });
      }
    }
    return breaches;
  },
});
