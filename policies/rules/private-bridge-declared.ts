import { isKnown, listAt, stringAt, unknownYet } from "../facts.ts";
import { type Breach, hostRule } from "../rule.ts";
import { idsSchema } from "../topics.ts";

const bridgeTypes = ["proxmoxve:network/linux/bridge:Bridge", "proxmoxve:network/linux/bridgeLegacy:BridgeLegacy"];

/** Only guests of the machine table on the private bridge, and no way onto it from outside. */
export default hostRule({
  name: "private-bridge-declared",
  description: "Only declared guests have a card on the private bridge, and the bridge has no uplink.",
  reason:
    "The private bridge carries AI and trading traffic unfiltered: whoever is on it can speak to every guest (seed 001).",
  fix: "Declare the guest through ProxmoxGuest with an id of the machine table, or move its card to another bridge; leave the bridge without ports.",
  config: {
    defaults: { ids: [100, 101, 102, 200, 400, 401], workerIdMin: 300, workerIdMax: 399 },
    ofHost: ({ privateBridge }) => ({ bridge: privateBridge }),
    schema: {
      bridge: {
        type: "string",
        description: "The private bridge. Without it, that of the host that the stack declares.",
      },
      ids: idsSchema("Guests of the machine table that may be on it."),
      workerIdMin: { type: "integer", description: "First worker id; workers may be on it." },
      workerIdMax: { type: "integer", description: "Last worker id." },
    },
  },
  check: ({ guests }, config, resources) => {
    const breaches: Breach[] = [];
    for (const guest of guests) {
      const nics = isKnown(guest.nics) ? guest.nics : [];
      if (!nics.some((nic) => nic.bridge === config.bridge)) continue;
      if (!guest.declared) {
        breaches.push({
          urn: guest.urn,
          found: `Guest ${guest.name} is on ${config.bridge} and is not declared by a ProxmoxGuest.`,
        });
      }
      const { id } = guest;
      const listed = !isKnown(id) || config.ids.includes(id) || (id >= config.workerIdMin && id <= config.workerIdMax);
      if (id !== unknownYet && !listed) {
        breaches.push({
          urn: guest.urn,
          found: `Guest ${guest.name} (${String(id)}) is on ${config.bridge} and not in the machine table.`,
        });
      }
    }
    for (const resource of resources) {
      if (!bridgeTypes.includes(resource.type) || stringAt(resource.props, "name") !== config.bridge) continue;
      const ports = listAt(resource.props, "ports");
      if (isKnown(ports) && ports.length > 0) {
        breaches.push({
          urn: resource.urn,
          found: `Bridge ${config.bridge} has ${String(ports.length)} port(s) to the outside.`,
        });
      }
    }
    return breaches;
  },
});
