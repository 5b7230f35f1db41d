import { isKnown } from "../facts.ts";
import { type Breach, stackRule } from "../rule.ts";
import { idsSchema } from "../topics.ts";

/** Guests that need root-only fields have the step that sets them, and only one. */
export default stackRule({
  name: "root-step-present",
  description: "Each guest that needs root-only fields has one root step of its own.",
  reason:
    "Only root@pam sets pins and huge pages: without the step they are never set, and two steps would undo each other.",
  fix: "Declare the guest through ProxmoxGuest with an affinity; it makes the step.",
  config: {
    defaults: { ids: [100, 101, 102, 103, 200, 400, 401] },
    schema: { ids: idsSchema("Guests that must be pinned by a root step.") },
  },
  check: ({ guests, rootSteps }, config) => {
    const breaches: Breach[] = [];
    const stepsOf = new Map<number, number>();
    for (const step of rootSteps) {
      if (!isKnown(step.vmId)) continue;
      const { vmId } = step;
      stepsOf.set(vmId, (stepsOf.get(vmId) ?? 0) + 1);
      if ((stepsOf.get(vmId) ?? 0) > 1) {
        breaches.push({
          urn: step.urn,
          found: `Guest ${String(vmId)} has more than one root step: they would undo each other.`,
        });
      }
    }
    for (const guest of guests) {
      if (guest.rootStep === undefined && isKnown(guest.id) && config.ids.includes(guest.id)) {
        breaches.push({ urn: guest.urn, found: `Guest ${guest.name} (${String(guest.id)}) has no root step.` });
      }
    }
    return breaches;
  },
});
