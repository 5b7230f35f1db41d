import { isGuest, readGuest } from "../estate.ts";
import { isKnown } from "../facts.ts";
import { resourceRule } from "../rule.ts";
import { heavyAgentType, isBelow, isServer, isThrowaway, marksOf } from "../servers.ts";
import { namesSchema } from "../topics.ts";

/** What is thrown away is not protected. */
export default resourceRule({
  name: "throwaway-unprotected",
  description: "Nothing of a heavy agent is protected, neither in Pulumi nor in Proxmox.",
  reason:
    "A throwaway server may be destroyed at any time without touching the Sentinel (seed 004): a protected one outlives its agent, and the reaper fails on it.",
  fix: "Remove protect and protection; what must be kept does not belong on a throwaway server.",
  config: {
    defaults: { except: [] },
    schema: { except: namesSchema("Agents whose servers may be protected.") },
  },
  check: (resource, config: { readonly except: readonly string[] }) => {
    const server = isServer(resource) && isThrowaway(resource);
    if (!server && !isBelow(resource, heavyAgentType)) return [];
    const marks = marksOf(resource);
    if (isKnown(marks) && config.except.includes(marks.life?.agent ?? "")) return [];
    const { name, opts } = resource;
    const found: string[] = [];
    if (opts.protect) found.push(`${name} belongs to a heavy agent and is protected in Pulumi: protect is true.`);
    if (isGuest(resource) && readGuest(resource).protection === true)
      found.push(`${name} belongs to a heavy agent and is protected in Proxmox: protection is true.`);
    return found;
  },
});
