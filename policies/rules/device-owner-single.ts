import type { Guest } from "../estate.ts";
import { isKnown } from "../facts.ts";
import { stackRule } from "../rule.ts";

/** At most one guest that runs by default for each passed-through device. */
export default stackRule({
  name: "device-owner-single",
  description: "Each passed-through device belongs to at most one guest that starts with the host.",
  reason:
    "A PCI or USB device has one owner at a time: the second guest fails to start, or takes the device away (design §4). " +
    "Run state belongs to the Keeper, so what counts is who starts with the host.",
  fix: "Leave the device with one guest; a contender to which the Keeper may hand it does not start with the host (onBoot: false).",
  config: { defaults: {}, schema: {} },
  check: ({ guests }) => {
    const owners = new Map<string, Guest[]>();
    for (const guest of guests) {
      // Without onBoot the provider starts a guest with the host.
      if (guest.onBoot !== true && guest.onBoot !== undefined) continue;
      for (const device of isKnown(guest.devices) ? guest.devices : []) {
        const name = isKnown(device.mapping) ? device.mapping : device.rawId;
        if (isKnown(name)) owners.set(name, [...(owners.get(name) ?? []), guest]);
      }
    }
    return [...owners].flatMap(([device, [first, ...others]]) =>
      others.map((guest) => ({
        urn: guest.urn,
        found:
          guest === first
            ? `Guest ${guest.name} has device ${device} more than once.`
            : `Device ${device} goes to ${first?.name ?? ""} and to ${guest.name}, and both start with the host.`,
      })),
    );
  },
});
