import type { PolicyResource } from "@pulumi/policy";
import { commandType } from "../estate.ts";
import { type Maybe, isKnown, listAt, stringAt } from "../facts.ts";
import { type Breach, stackRule } from "../rule.ts";
import { componentAround, heavyAgentType, isBelow, isServer, marksOf, propsOf, sentinelType } from "../servers.ts";
import { namesSchema } from "../topics.ts";

/** The Sentinel's address without its port, as the runner of a heavy agent is told it. */
function sentinelOf(agent: PolicyResource | undefined): string | undefined {
  const address = agent === undefined ? undefined : stringAt(agent.props, "runner", "sentinel", "address");
  return isKnown(address) ? /^\[?(.*?)\]?:\d+$/.exec(address)?.[1] : undefined;
}

/** Which of the texts a step's scripts hold. */
function heavyText(step: PolicyResource, texts: readonly string[]): string | undefined {
  const scripts = ["create", "update"].map((key) => stringAt(propsOf(step), key)).filter(isKnown);
  return texts.find((text) => scripts.some((script) => script.includes(text)));
}

function stepFaults(
  step: PolicyResource,
  texts: readonly string[],
  resources: readonly PolicyResource[],
): readonly string[] {
  const { name } = step;
  const host = stringAt(propsOf(step), "connection", "host");
  const agent = componentAround(step, heavyAgentType, resources);
  if (isKnown(host) && host === sentinelOf(agent))
    return [`Step ${name} of a heavy agent runs on ${host}, which is its Sentinel.`];
  const heavy = heavyText(step, texts);
  if (heavy === undefined) return [];
  const addresses = resources.filter(isSentinels).flatMap(addressesOf);
  const there = isBelow(step, sentinelType) || (isKnown(host) && addresses.includes(host));
  return there ? [`Step ${name} puts ${heavy} on the Sentinel.`] : [];
}

function isSentinels(resource: PolicyResource): boolean {
  const marks = marksOf(resource);
  return isBelow(resource, sentinelType) || (isKnown(marks) && marks.sentinel);
}

/** Addresses of a server, or of an address that is kept for one. */
function addressesOf(resource: PolicyResource): readonly string[] {
  const props = propsOf(resource);
  const configs = listAt(props, "initialization", "ipConfigs");
  const guest = isKnown(configs) ? configs.map((config) => stringAt(config, "ipv4", "address")) : [];
  const all: readonly Maybe<string>[] = [stringAt(props, "publicIpAddress"), stringAt(props, "ipAddress"), ...guest];
  return all.filter(isKnown).map((text) => text.split("/")[0] ?? text);
}

/** The golden rule of seed 004. */
export default stackRule({
  name: "sentinel-no-agent",
  description: "No heavy agent is on the Sentinel.",
  reason:
    "A resident service has a server of its own, and a heavy agent a throwaway one (seed 004): one hungry browser on the Sentinel, and nobody watches the others any more.",
  fix: "Declare the agent through HeavyAgent in a stack of its own; the Sentinel sends it signals.",
  config: {
    defaults: { texts: ["heavy-agent@"] },
    schema: { texts: namesSchema("What tells in a step's script that it is a heavy agent's.") },
  },
  check: (_, config, resources) => {
    const breaches: Breach[] = [];
    for (const resource of resources) {
      const { urn, name, type } = resource;
      if (type === heavyAgentType && isBelow(resource, sentinelType))
        breaches.push({ urn, found: `Heavy agent ${name} is declared within the Sentinel.` });
      if (isServer(resource)) {
        const marks = marksOf(resource);
        const throwaway = isBelow(resource, heavyAgentType) || (isKnown(marks) && marks.throwaway);
        if (throwaway && isSentinels(resource))
          breaches.push({ urn, found: `Server ${name} is the Sentinel's and a heavy agent's at once.` });
      }
      if (type === commandType)
        breaches.push(...stepFaults(resource, config.texts, resources).map((found) => ({ urn, found })));
    }
    return breaches;
  },
});
