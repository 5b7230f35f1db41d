import { isGuest, readGuest } from "../estate.ts";
import { isKnown, unknownYet } from "../facts.ts";
import { resourceRule } from "../rule.ts";
import { idsSchema, keptIds } from "../topics.ts";

/** Guests that cannot be rebuilt are protected twice: in Proxmox and in Pulumi. */
export default resourceRule({
  name: "guest-protection",
  description: "Guests that cannot be rebuilt are protected in Proxmox and in Pulumi.",
  reason:
    "Models, trading terminals and the bastion's evidence are on their disks: one wrong rename would delete them (seed 001).",
  fix: "Set protection: true on the guest and protect: true in its resource options.",
  config: {
    defaults: { ids: keptIds },
    schema: { ids: idsSchema("Guests that must be protected.") },
  },
  check: (resource, config) => {
    if (!isGuest(resource)) return [];
    const { name, id, protection, pulumiProtect } = readGuest(resource);
    if (!isKnown(id) || !config.ids.includes(id)) return [];
    const found: string[] = [];
    if (protection !== true && protection !== unknownYet) {
      found.push(`Guest ${name} (${String(id)}) has no Proxmox protection: protection is not true.`);
    }
    if (!pulumiProtect) found.push(`Guest ${name} (${String(id)}) has no Pulumi protection: protect is not true.`);
    return found;
  },
});
