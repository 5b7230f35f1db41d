/**
 * What a throwaway server says about itself at its provider, so that the reaper, the policies and people know it without
 * any state: that it may be destroyed, whose it is, and when its time to live ends. Pure, both ways.
 *
 * `estate` tells two Hives in one account or on one host apart: the reaper of one leaves the other's servers alone.
 */
import { dnsLabel } from "../check.ts";
import { formatUtc, parseUtc } from "./utc.ts";

/** Tags of a throwaway server. */
export interface ServerTags {
  /** Whose Hive it is of; a DNS label. */
  readonly estate: string;
  /** Name of the agent that it was made for. */
  readonly agent: string;
  /** End of its time to live, Unix seconds. */
  readonly expiresSec: number;
}

/** Keys at Lightsail: `hive:throwaway=true`, `hive:estate=NAME`, `hive:agent=NAME`, `hive:expires=2026-12-01T00:00:00Z`. */
export const tagKeys = {
  throwaway: "hive:throwaway",
  estate: "hive:estate",
  agent: "hive:agent",
  expires: "hive:expires",
} as const;
/** Proxmox has tags without values, of lower-case letters, digits and `_-+.`: the seconds stand in the tag itself. */
export const proxmoxTags = {
  throwaway: "hive-throwaway",
  estate: "hive-estate-",
  agent: "hive-agent-",
  expires: "hive-expires-",
} as const;

/** 9999-12-31T23:59:59Z: later the text has another length. */
const mostSec = 253_402_300_799;

/** The tags as Lightsail has them. */
export function lightsailTags(tags: ServerTags): Readonly<Record<string, string>> {
  return {
    [tagKeys.throwaway]: "true",
    [tagKeys.estate]: tags.estate,
    [tagKeys.agent]: tags.agent,
    [tagKeys.expires]: formatUtc(tags.expiresSec),
  };
}

/** The tags as Proxmox has them. */
export function proxmoxTagList(tags: ServerTags): readonly string[] {
  return [
    proxmoxTags.throwaway,
    `${proxmoxTags.estate}${tags.estate}`,
    `${proxmoxTags.agent}${tags.agent}`,
    `${proxmoxTags.expires}${String(tags.expiresSec)}`,
  ];
}

function checkedTags(
  estate: string | undefined,
  agent: string | undefined,
  expiresSec: number | undefined,
): ServerTags | undefined {
  if (estate === undefined || !dnsLabel.test(estate)) return undefined;
  if (agent === undefined || !dnsLabel.test(agent)) return undefined;
  if (expiresSec === undefined || !Number.isInteger(expiresSec) || expiresSec > mostSec) return undefined;
  return { estate, agent, expiresSec };
}

/** The tags of a server at Lightsail; undefined unless it is a throwaway one of ours with every tag in order. */
export function readLightsailTags(tags: Readonly<Record<string, string>>): ServerTags | undefined {
  if (tags[tagKeys.throwaway] !== "true") return undefined;
  return checkedTags(tags[tagKeys.estate], tags[tagKeys.agent], parseUtc(tags[tagKeys.expires] ?? ""));
}

/** The tags of a guest of Proxmox; undefined unless it is a throwaway one of ours with every tag, each once. */
export function readProxmoxTags(tags: readonly string[]): ServerTags | undefined {
  if (!tags.includes(proxmoxTags.throwaway)) return undefined;
  const valueOf = (prefix: string): string | undefined => {
    const values = tags.filter((tag) => tag.startsWith(prefix)).map((tag) => tag.slice(prefix.length));
    return values.length === 1 ? values[0] : undefined;
  };
  const seconds = valueOf(proxmoxTags.expires);
  const expiresSec = seconds !== undefined && /^\d{1,12}$/.test(seconds) ? Number(seconds) : undefined;
  return checkedTags(valueOf(proxmoxTags.estate), valueOf(proxmoxTags.agent), expiresSec);
}

/** Whether both are the marks of the same server in the same life. */
export function sameTags(one: ServerTags, other: ServerTags): boolean {
  return one.estate === other.estate && one.agent === other.agent && one.expiresSec === other.expiresSec;
}
