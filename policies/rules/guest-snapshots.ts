import { isKnown, unknownYet } from "../facts.ts";
import { stackRule } from "../rule.ts";
import { idsSchema, keptIds } from "../topics.ts";

/** Guests that cannot be rebuilt are on the snapshot schedule. */
export default stackRule({
  name: "guest-snapshots",
  description: "Guests that cannot be rebuilt are covered by the snapshot schedule.",
  reason: "Without redundancy or backups elsewhere, snapshots are the only way back from a bad change (seed 001).",
  fix: "Add the guest to the snapshot schedule of HostStorage.",
  config: {
    defaults: { ids: keptIds },
    schema: { ids: idsSchema("Guests that must have snapshots.") },
  },
  check: ({ guests, snapshotGuests }, config) =>
    guests.flatMap((guest) => {
      if (snapshotGuests === unknownYet || !isKnown(guest.id) || !config.ids.includes(guest.id)) return [];
      if (snapshotGuests?.includes(guest.id) === true) return [];
      return [{ urn: guest.urn, found: `No snapshot schedule covers guest ${guest.name} (${String(guest.id)}).` }];
    }),
});
