import { isKnown } from "../facts.ts";
import { resourceRule } from "../rule.ts";
import { isServer, isThrowaway, marksOf } from "../servers.ts";

/** Every throwaway server has an end. */
export default resourceRule({
  name: "server-expires",
  description: "Every server but the Sentinel's is marked as a throwaway one, with its agent and its end.",
  reason:
    "A heavy agent's server is thrown away (seed 004): one without an end is billed until somebody finds it, and the reaper destroys only what says that it may be.",
  fix: "Declare the server through HeavyAgent with ttlSec; it sets the marks hive:throwaway, hive:estate, hive:agent and hive:expires.",
  config: {
    defaults: { maxDays: 366 },
    schema: { maxDays: { type: "integer", minimum: 1, description: "Furthest end allowed, days from now." } },
  },
  check: (resource, config) => {
    if (!isServer(resource)) return [];
    const marks = marksOf(resource);
    if (!isKnown(marks)) return [];
    const { name } = resource;
    if (marks.sentinel && !isThrowaway(resource)) return [];
    if (!isThrowaway(resource)) return [`Server ${name} says neither that it is the Sentinel's nor when it ends.`];
    if (marks.life === undefined)
      return [`Throwaway server ${name} lacks a mark, or one is not in order: throwaway, estate, agent, expires.`];
    const days = (marks.life.expiresSec * 1000 - Date.now()) / 86_400_000;
    return days > config.maxDays
      ? [
          `Throwaway server ${name} ends in ${String(Math.ceil(days))} days; allowed: at most ${String(config.maxDays)}.`,
        ]
      : [];
  },
});
