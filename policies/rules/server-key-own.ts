import type { PolicyResource } from "@pulumi/policy";
import { isKnown, stringAt, stringsAt, unknownYet } from "../facts.ts";
import { type Breach, stackRule } from "../rule.ts";
import { instanceType, isServer, keyPairType, marksOf, propsOf } from "../servers.ts";
import { namesSchema } from "../topics.ts";

/** A public key without its comment. */
function bare(key: string): string {
  return key.trim().split(/\s+/).slice(0, 2).join(" ");
}

/** What a public key says of whom it was made for. */
function commentOf(key: string): string {
  return key.trim().split(/\s+/).slice(2).join(" ");
}

/** Public keys that log in to a server, as far as they are known. */
function keysOfServer(server: PolicyResource, resources: readonly PolicyResource[]): readonly string[] {
  const props = propsOf(server);
  if (server.type !== instanceType) {
    const keys = stringsAt(props, "initialization", "userAccount", "keys");
    return isKnown(keys) ? keys.filter(isKnown) : [];
  }
  const pair = keyPairOf(server, resources);
  const key = pair === undefined ? undefined : stringAt(propsOf(pair), "publicKey");
  return isKnown(key) ? [key] : [];
}

function keyPairOf(instance: PolicyResource, resources: readonly PolicyResource[]): PolicyResource | undefined {
  const wanted = stringAt(propsOf(instance), "keyPairName");
  if (!isKnown(wanted)) return undefined;
  return resources.find(({ type, props }) => type === keyPairType && stringAt(props, "name") === wanted);
}

/** Faults of an instance's key pair: it must be one of this stack. */
function pairFaults(instance: PolicyResource, resources: readonly PolicyResource[]): readonly string[] {
  const wanted = stringAt(propsOf(instance), "keyPairName");
  const { name } = instance;
  if (wanted === undefined)
    return [`Server ${name} names no key pair: it takes the account's default one, as others do.`];
  // A pair whose own name is still unknown may be the one.
  const open = resources.some(({ type, props }) => type === keyPairType && stringAt(props, "name") === unknownYet);
  if (wanted === unknownYet || open || keyPairOf(instance, resources) !== undefined) return [];
  return [`Server ${name} takes the key pair ${wanted}, which is not of this stack.`];
}

/**
 * Faults of a key by the name that it carries. A policy sees one stack only, and the same key in two of them would pass in
 * each; but a key has one name, and a heavy agent's must be its own, so that of two stacks one is refused.
 */
function nameFaults(server: PolicyResource, key: string): readonly string[] {
  const marks = marksOf(server);
  if (!isKnown(marks)) return [];
  const made = commentOf(key);
  const own = marks.life === undefined ? undefined : stackOf(marks.life.agent);
  if (own !== undefined && made !== own)
    return [`Server ${server.name} takes an SSH key that is not named ${own}: it may be another server's.`];
  // Keys of people's own making carry what they like, but no agent's name.
  if (!marks.throwaway && made.startsWith(stackOf("")))
    return [`Server ${server.name} takes an SSH key that was made for a heavy agent.`];
  return [];
}

/** Stack of an agent, which its key is named for. */
function stackOf(agent: string): string {
  return `agent-${agent}`;
}

/** One key opens one server. */
export default stackRule({
  name: "server-key-own",
  description: "Each server has an SSH key of its own, declared with it and named for its stack.",
  reason:
    "Agents run code from outside: whoever takes one server must not find the key of the next there, and destroying an agent must end its key (seed 004).",
  fix: "Give each server a key of its own, an agent's named for its stack as `hive agent new` does: `ssh-keygen -t ed25519 -N '' -C agent-NAME -f KEY`.",
  config: {
    defaults: { forbidden: [] },
    schema: { forbidden: namesSchema("Public keys that no server may take, `ssh-ed25519 AAAA…`.") },
  },
  check: (_, config: { readonly forbidden: readonly string[] }, resources) => {
    const forbidden = new Set(config.forbidden.map(bare));
    const takenBy = new Map<string, string>();
    const breaches: Breach[] = [];
    for (const server of resources.filter(isServer)) {
      const { urn, name } = server;
      if (server.type === instanceType)
        breaches.push(...pairFaults(server, resources).map((found) => ({ urn, found })));
      const lines = keysOfServer(server, resources);
      for (const line of lines) breaches.push(...nameFaults(server, line).map((found) => ({ urn, found })));
      for (const key of new Set(lines.map(bare))) {
        const other = takenBy.get(key);
        if (other !== undefined) breaches.push({ urn, found: `Servers ${other} and ${name} have one SSH key.` });
        if (forbidden.has(key))
          breaches.push({ urn, found: `Server ${name} takes an SSH key that no server may take.` });
        takenBy.set(key, other ?? name);
      }
    }
    return breaches;
  },
});
