import type { PolicyResource } from "@pulumi/policy";
import { isKnown, stringAt, stringsAt, unknownYet } from "../facts.ts";
import { type Breach, stackRule } from "../rule.ts";
import { instanceType, isServer, keyPairType, propsOf } from "../servers.ts";
import { namesSchema } from "../topics.ts";

/** A public key without its comment. */
function bare(key: string): string {
  return key.trim().split(/\s+/).slice(0, 2).join(" ");
}

/** Public keys that log in to a server, as far as they are known. */
function keysOfServer(server: PolicyResource, resources: readonly PolicyResource[]): readonly string[] {
  const props = propsOf(server);
  if (server.type !== instanceType) {
    const keys = stringsAt(props, "initialization", "userAccount", "keys");
    return isKnown(keys) ? keys.filter(isKnown).map(bare) : [];
  }
  const pair = keyPairOf(server, resources);
  const key = pair === undefined ? undefined : stringAt(propsOf(pair), "publicKey");
  return isKnown(key) ? [bare(key)] : [];
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

/** One key opens one server. */
export default stackRule({
  name: "server-key-own",
  description: "Each server has an SSH key of its own, declared with it.",
  reason:
    "Agents run code from outside: whoever takes one server must not find the key of the next there, and destroying an agent must end its key (seed 004).",
  fix: "Give each server a publicKey of its own; `hive agent new` makes one for each agent.",
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
      for (const key of new Set(keysOfServer(server, resources))) {
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
