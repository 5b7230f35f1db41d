import { isKnown } from "../facts.ts";
import { stackRule } from "../rule.ts";

/** One guest, one id: VMs and containers share one number space. */
export default stackRule({
  name: "guest-id-unique",
  description: "No two guests have the same id.",
  reason: "VMs and containers share one number space in Proxmox: the second create fails half-way through an update.",
  fix: "Give one of the two another id.",
  config: { defaults: {}, schema: {} },
  check: ({ guests }) => {
    const seen = new Map<number, string>();
    return guests.flatMap((guest) => {
      if (!isKnown(guest.id)) return [];
      const first = seen.get(guest.id);
      if (first === undefined) {
        seen.set(guest.id, guest.name);
        return [];
      }
      return [{ urn: guest.urn, found: `Guests ${first} and ${guest.name} both have id ${String(guest.id)}.` }];
    });
  },
});
