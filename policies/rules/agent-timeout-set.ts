import { vmType } from "../estate.ts";
import { at, booleanAt, stringAt, unknownYet } from "../facts.ts";
import { resourceRule } from "../rule.ts";

/** A guest agent is waited for only for a stated time. */
export default resourceRule({
  name: "agent-timeout-set",
  description: "A VM with the guest agent enabled states how long to wait for it.",
  reason: "Where the agent is enabled and not installed, the provider waits 15 minutes and then fails the update.",
  fix: 'Set agent.timeout, for example "180s", or disable the agent until it is installed.',
  config: {
    defaults: { maxTimeoutSec: 600 },
    schema: { maxTimeoutSec: { type: "integer", minimum: 1, description: "Longest wait allowed, in seconds." } },
  },
  check: (resource, config) => {
    if (resource.type !== vmType || booleanAt(resource.props, "agent", "enabled") !== true) return [];
    const timeout = stringAt(resource.props, "agent", "timeout");
    if (timeout === unknownYet || at(resource.props, "agent") === unknownYet) return [];
    const limit = `at most ${String(config.maxTimeoutSec)} s`;
    if (timeout === undefined) return [`agent.timeout is missing on ${resource.name}; allowed: ${limit}.`];
    const seconds = durationSec(timeout);
    if (seconds === undefined || seconds <= 0)
      return [`agent.timeout of ${resource.name} is not a duration; allowed: ${limit}.`];
    return seconds > config.maxTimeoutSec
      ? [`agent.timeout of ${resource.name} is ${timeout}; allowed: ${limit}.`]
      : [];
  },
});

/** Seconds of a duration as Go writes it (`90s`, `1h2m3s`), or `undefined`. */
function durationSec(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(h|ms|m|s))+$/.test(text)) return undefined;
  const units: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1, ms: 0.001 };
  return [...text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)].reduce(
    (sum, [, number, unit]) => sum + Number(number) * (units[unit ?? "s"] ?? 0),
    0,
  );
}
