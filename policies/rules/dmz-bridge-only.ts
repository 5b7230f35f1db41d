import { isKnown } from "../facts.ts";
import { hostRule } from "../rule.ts";
import { namesSchema } from "../topics.ts";

/** A guest of the DMZ has no card elsewhere. */
export default hostRule({
  name: "dmz-bridge-only",
  description: "A guest of the DMZ has network cards on the DMZ's bridge only.",
  reason:
    "The DMZ runs untrusted code: a second card would carry it into the house's network or to the AI and trading guests (seed 001).",
  fix: "Remove the guest's other cards, or take the guest out of the DMZ.",
  config: {
    defaults: { roles: ["sandbox"], gatewayRoles: ["security"] },
    ofHost: ({ dmzBridge }) => ({ bridge: dmzBridge }),
    schema: {
      bridge: {
        type: "string",
        description: "The DMZ's bridge. Without it, that of the host that the stack declares.",
      },
      roles: namesSchema("Roles (tags role-<role>) that belong to the DMZ whatever their cards say."),
      gatewayRoles: namesSchema("Roles of the DMZ's gateway, which stands between it and the other networks."),
    },
  },
  check: ({ guests }, config) =>
    guests.flatMap((guest) => {
      if (!isKnown(guest.nics)) return [];
      const bridges = guest.nics.map((nic) => nic.bridge).filter(isKnown);
      const byRole = isKnown(guest.roles) && guest.roles.some((role) => config.roles.includes(role));
      const gateway = isKnown(guest.roles) && guest.roles.some((role) => config.gatewayRoles.includes(role));
      if (gateway && !byRole) return [];
      if (!byRole && !bridges.includes(config.bridge)) return [];
      const others = bridges.filter((bridge) => bridge !== config.bridge);
      const found = `Guest ${guest.name} is of the DMZ (${config.bridge}) and also has a card on ${others.join(", ")}.`;
      return others.length === 0 ? [] : [{ urn: guest.urn, found }];
    }),
});
