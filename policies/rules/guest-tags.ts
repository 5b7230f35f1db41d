import { isGuest, readGuest } from "../estate.ts";
import { isKnown, unknownYet } from "../facts.ts";
import { resourceRule } from "../rule.ts";
import { namesSchema } from "../topics.ts";

/** Every guest says what it is for and who answers for it. */
export default resourceRule({
  name: "guest-tags",
  description: "Every guest has the tag hive, one tag role-<role> and one tag owner-<owner>.",
  reason: "Other rules, the Keeper and the person at night tell guests apart by these tags.",
  fix: "Set role and owner on ProxmoxGuest; the tags are hive, role-<role> and owner-<owner>.",
  config: {
    defaults: { roles: ["ai", "trading", "worker", "security", "vision", "render", "sandbox"] },
    schema: { roles: namesSchema("Roles that exist.") },
  },
  check: (resource, config) => {
    if (!isGuest(resource)) return [];
    const { name, tags, roles, owners } = readGuest(resource);
    if (tags === unknownYet || (isKnown(tags) && tags.includes(unknownYet))) return [];
    const found: string[] = [];
    if (!isKnown(tags) || !tags.includes("hive")) found.push(`Guest ${name} lacks the tag hive.`);
    const role = isKnown(roles) ? roles : [];
    if (role.length !== 1) {
      found.push(`Guest ${name} has ${String(role.length)} tags role-…; allowed: exactly one.`);
    } else if (!config.roles.includes(role[0] ?? "")) {
      found.push(`Guest ${name} has role ${role[0] ?? ""}; allowed: ${config.roles.join(", ")}.`);
    }
    const owner = isKnown(owners) ? owners.filter((text) => text !== "") : [];
    if (owner.length !== 1) found.push(`Guest ${name} has ${String(owner.length)} tags owner-…; allowed: exactly one.`);
    return found;
  },
});
