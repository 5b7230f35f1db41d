import type { Guest } from "../estate.ts";
import { isKnown } from "../facts.ts";
import { type Breach, stackRule } from "../rule.ts";
import { idsSchema } from "../topics.ts";

/** Guests that need root-only fields have the step that sets them, and Pulumi leaves those fields alone. */
export default stackRule({
  name: "root-step-present",
  description:
    "Each guest that needs root-only fields has one root step of its own, and ignores changes of those fields.",
  reason:
    "Without the step pins and huge pages are never set; without ignoreChanges the next update takes them away by the token, and fails.",
  fix: "Declare the guest through ProxmoxGuest with an affinity; it makes the step and the ignored fields.",
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
      if (guest.rootStep === undefined) {
        if (isKnown(guest.id) && config.ids.includes(guest.id)) {
          breaches.push({ urn: guest.urn, found: `Guest ${guest.name} (${String(guest.id)}) has no root step.` });
        }
        continue;
      }
      for (const field of setFields(guest)) {
        if (!ignores(guest.ignoreChanges, field)) {
          breaches.push({
            urn: guest.urn,
            found: `Guest ${guest.name} gets ${field} from its root step and does not ignore changes of it.`,
          });
        }
      }
    }
    return breaches;
  },
});

/** Fields of the provider's resource that a guest's root step sets. */
function setFields({ kind, rootStep }: Guest): readonly string[] {
  if (kind !== "vm") return [];
  const given = (value: unknown) => typeof value === "string" && value !== "";
  return [
    ...(given(rootStep?.affinity) ? ["cpu.affinity"] : []),
    ...(given(rootStep?.hugepages) ? ["memory.hugepages"] : []),
  ];
}

/** Whether a field, or an object that holds it, is among the ignored ones. */
function ignores(ignored: readonly string[], field: string): boolean {
  return ignored.some((entry) => field === entry || field.startsWith(`${entry}.`) || entry === "*");
}
