/** What a server's firewall lets in, as each provider is told it. */
import type { PolicyResource } from "@pulumi/policy";
import { type Maybe, booleanAt, isKnown, listAt, numberAt, stringAt, stringsAt, unknownYet } from "./facts.ts";
import { guestRulesType, instanceType, propsOf, publicPortsType } from "./servers.ts";

/** One opening as a provider is told it. */
export interface Open {
  readonly port: Maybe<number>;
  readonly lastPort: Maybe<number>;
  readonly protocol: Maybe<string>;
  readonly from: readonly Maybe<string>[];
}

/** What Lightsail is told to open. */
function lightsailOpen(ports: PolicyResource): Maybe<readonly Open[]> {
  const infos = listAt(propsOf(ports), "portInfos");
  if (!isKnown(infos)) return infos;
  return infos.map((info): Open => {
    const from = ["cidrs", "ipv6Cidrs", "cidrListAliases"].flatMap((key): readonly Maybe<string>[] => {
      const list = stringsAt(info, key);
      return list === unknownYet ? [unknownYet] : (list ?? []);
    });
    const port = numberAt(info, "fromPort");
    return { port, lastPort: numberAt(info, "toPort"), protocol: stringAt(info, "protocol"), from };
  });
}

/** What a guest's firewall lets in. */
function guestOpen(rules: PolicyResource): Maybe<readonly Open[]> {
  const list = listAt(propsOf(rules), "rules");
  if (!isKnown(list)) return list;
  return list.flatMap((rule): readonly Open[] => {
    const inward = stringAt(rule, "type");
    const action = stringAt(rule, "action");
    if (inward === unknownYet || action === unknownYet) return [];
    if (inward?.toLowerCase() !== "in" || action?.toUpperCase() !== "ACCEPT") return [];
    if (booleanAt(rule, "enabled") === false) return [];
    const dport = stringAt(rule, "dport");
    const source = stringAt(rule, "source");
    const port: Maybe<number> = isKnown(dport) ? (/^\d+$/.test(dport) ? Number(dport) : undefined) : dport;
    return [{ port, lastPort: port, protocol: stringAt(rule, "proto"), from: source === undefined ? [] : [source] }];
  });
}

/** The resource of a type that is about a server, found by what names the server. */
export function about(
  server: PolicyResource,
  type: string,
  resources: readonly PolicyResource[],
): Maybe<PolicyResource> {
  const lightsail = server.type === instanceType;
  const own = lightsail ? stringAt(propsOf(server), "name") : numberAt(propsOf(server), "vmId");
  const candidates = resources.filter((each) => each.type === type);
  const names = candidates.map((each) => {
    const props = propsOf(each);
    return lightsail ? stringAt(props, "instanceName") : (numberAt(props, "vmId") ?? numberAt(props, "containerId"));
  });
  const found = candidates.find((_, index) => isKnown(own) && names[index] === own);
  // One whose server is still unknown may be this server's.
  return found ?? (own === unknownYet || names.includes(unknownYet) ? unknownYet : undefined);
}

/**
 * What is open on a server, or unknown; undefined where nothing says so. At Lightsail that means SSH and HTTP, to
 * everybody; at Proxmox nothing.
 */
export function openOf(server: PolicyResource, resources: readonly PolicyResource[]): Maybe<readonly Open[]> {
  const lightsail = server.type === instanceType;
  const openings = about(server, lightsail ? publicPortsType : guestRulesType, resources);
  if (!isKnown(openings)) return openings;
  return lightsail ? lightsailOpen(openings) : guestOpen(openings);
}
