import type { Guest } from "../estate.ts";
import { isKnown, type Maybe } from "../facts.ts";
import { stackRule } from "../rule.ts";

/** At most one running guest for each passed-through device. */
export default stackRule({
  name: "device-owner-single",
  description: "Each passed-through device belongs to at most one guest that runs.",
  reason:
    "A PCI or USB device has one owner at a time: the second guest fails to start, or takes the device away (design §4). " +
    "A guest runs that starts with the host, or that is declared started while its run state is not left to the Keeper.",
  fix:
    "Leave the device with one guest. A contender to which the Keeper may hand it does not start with the host " +
    "(onBoot: false), and its run state is the Keeper's (ignoreChanges: started) or declared stopped (started: false).",
  config: { defaults: {}, schema: {} },
  check: ({ guests }) => {
    const owners = new Map<string, Guest[]>();
    for (const guest of guests) {
      if (!runs(guest)) continue;
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
            : `Device ${device} goes to ${first?.name ?? ""} and to ${guest.name}, and both run.`,
      })),
    );
  },
});

/** Whether Pulumi has a guest run, as far as it is known. The provider's default is to start it, at once and with the host. */
function runs(guest: Guest): boolean {
  const keepers = guest.ignoreChanges.some((path) => path === "started" || path === "*");
  return isOn(guest.onBoot) || (isOn(guest.started) && !keepers);
}

function isOn(flag: Maybe<boolean>): boolean {
  return flag === true || flag === undefined;
}
