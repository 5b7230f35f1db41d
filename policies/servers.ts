/** The servers of seed 004 as a stack declares them: the Sentinel's, and the throwaway ones of heavy agents. */
import type { PolicyResource } from "@pulumi/policy";
import {
  proxmoxTags,
  readLightsailTags,
  readProxmoxTags,
  tagKeys,
  type ServerTags,
} from "../components/shared/vps/tags.ts";
import { type Readable, isGuest, readGuest } from "./estate.ts";
import { type Maybe, at, isKnown, keysOf, stringAt, unknownYet } from "./facts.ts";

export const instanceType = "aws:lightsail/instance:Instance";
export const keyPairType = "aws:lightsail/keyPair:KeyPair";
export const publicPortsType = "aws:lightsail/instancePublicPorts:InstancePublicPorts";
export const guestRulesType = "proxmoxve:firewall/rulesLegacy:RulesLegacy";
export const guestFirewallType = "proxmoxve:firewall/optionsLegacy:OptionsLegacy";
export const serverType = "hive:index:Vps";
export const heavyAgentType = "hive:index:HeavyAgent";
export const sentinelType = "hive:index:Sentinel";

/** What a server says about itself at its provider. */
export interface ServerMarks {
  readonly sentinel: boolean;
  /** Whether any mark of a throwaway server is there, complete or not. */
  readonly throwaway: boolean;
  /** The marks of a throwaway server, when each is there and in order. */
  readonly life: ServerTags | undefined;
}

const unmarked: ServerMarks = { sentinel: false, throwaway: false, life: undefined };

/** Whether a resource is below a component of a type: a URN names the types of all that it is below. */
export function isBelow({ urn, opts }: Pick<Readable, "urn" | "opts">, type: string): boolean {
  return [urn.split("::")[2]?.split("$").slice(0, -1), opts.parent?.split("::")[2]?.split("$")].some(
    (types) => types?.includes(type) ?? false,
  );
}

/** The nearest component of a type that a resource is below, in the same stack. */
export function componentAround(
  resource: PolicyResource,
  type: string,
  resources: readonly PolicyResource[],
): PolicyResource | undefined {
  let here: PolicyResource | undefined = resource;
  for (let depth = 0; here !== undefined && depth < 8; depth++) {
    const urn: string | undefined = here.opts.parent ?? here.parent?.urn;
    here = resources.find((each) => each.urn === urn);
    if (here?.type === type) return here;
  }
  return undefined;
}

/** The properties; a provider that cannot preview hands back none at all, and everything is unknown then. */
export function propsOf(resource: Pick<Readable, "props">): unknown {
  return keysOf(resource.props).length === 0 ? unknownYet : resource.props;
}

/** Marks of a resource that may be a server, unknown as long as one of them is. */
export function marksOf(resource: Readable): Maybe<ServerMarks> {
  if (resource.type === instanceType) return lightsailMarks(at(propsOf(resource), "tags"));
  if (!isGuest(resource)) return undefined;
  const { tags = [] } = readGuest(resource);
  if (tags === unknownYet || tags.includes(unknownYet)) return unknownYet;
  const texts = tags.filter(isKnown);
  const prefixes = Object.values(proxmoxTags);
  return {
    sentinel: texts.includes("hive-sentinel"),
    throwaway: texts.some((tag) => prefixes.some((prefix) => tag.startsWith(prefix))),
    life: readProxmoxTags(texts),
  };
}

function lightsailMarks(tags: unknown): Maybe<ServerMarks> {
  if (tags === unknownYet) return unknownYet;
  if (tags === undefined) return unmarked;
  const found: Record<string, string> = {};
  for (const key of keysOf(tags)) {
    const value = stringAt(tags, key);
    if (value === unknownYet) return unknownYet;
    if (value !== undefined) found[key] = value;
  }
  return {
    sentinel: found["hive:role"] === "sentinel",
    throwaway: Object.values(tagKeys).some((key) => found[key] !== undefined),
    life: readLightsailTags(found),
  };
}

/** Whether a resource is a server of seed 004: an instance at Lightsail always, a guest by its marks or its component. */
export function isServer(resource: Readable): boolean {
  if (resource.type === instanceType) return true;
  if (!isGuest(resource)) return false;
  const marks = marksOf(resource);
  return isBelow(resource, serverType) || (isKnown(marks) && (marks.sentinel || marks.throwaway));
}

/** Whether a server is a throwaway one: by its marks, or because it is a heavy agent's. */
export function isThrowaway(resource: Readable): boolean {
  const marks = marksOf(resource);
  return isBelow(resource, heavyAgentType) || (isKnown(marks) && marks.throwaway);
}
