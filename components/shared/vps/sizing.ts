/**
 * Which server an agent gets: the seed's grid ("Grille de Décision") as data, and what follows from it. Memory is in
 * MiB; the seed's `Go` are counted as binary, as everywhere here.
 */
import { fault } from "../check.ts";
import { nearestName } from "../nearestName.ts";
import { formatMiB } from "../units.ts";
import type { Checked } from "../faults.ts";

/** A whole-number range, both ends included. */
export interface Range {
  readonly least: number;
  readonly most: number;
}

export type VpsSize = "XS" | "S" | "M" | "L";

export interface SizeLimits {
  /** Memory of the whole server, MiB. */
  readonly ramMiB: Range;
  readonly vcpus: Range;
}

/**
 * What a server of each size may have. Memory up to M is the seed's; it gives no figure for L ("> 8 Go", above M) and
 * none for CPUs, so those are what providers sell with such memory (Lightsail: 2, 2, 2 to 4, 8 to 16).
 */
export const vpsSizes: Readonly<Record<VpsSize, SizeLimits>> = {
  XS: { ramMiB: { least: 1024, most: 1024 }, vcpus: { least: 1, most: 2 } },
  S: { ramMiB: { least: 2048, most: 4096 }, vcpus: { least: 1, most: 4 } },
  M: { ramMiB: { least: 8192, most: 16384 }, vcpus: { least: 2, most: 8 } },
  L: { ramMiB: { least: 32768, most: 65536 }, vcpus: { least: 4, most: 32 } },
};

/** From the smallest to the largest. */
const sizesInOrder: readonly VpsSize[] = ["XS", "S", "M", "L"];

export type AgentKind = "micro-service" | "browser-light" | "browser-heavy" | "batch" | "experimental";

/** How long a server is kept; `job` is gone with its job, `ephemeral` at any time. */
export type Retention = "long" | "medium" | "short" | "job" | "ephemeral";

export interface KindOfAgent {
  readonly description: string;
  /** Sizes that it may have, smallest first: the first is its floor, and the one it gets. */
  readonly sizes: readonly [VpsSize, ...VpsSize[]];
  /** What it usually takes. An end that is not there is open: the experimental kind may take all and be killed. */
  readonly typical: {
    readonly ramMiB: Partial<Range>;
    readonly cpu: "below 10 %" | "bursts" | "sustained" | "100 %" | "unpredictable";
  };
  readonly retention: readonly [Retention, ...Retention[]];
}

/** The grid. A light browser agent may also have M, where {@link proposeSize} sends it. */
export const agentKinds: Readonly<Record<AgentKind, KindOfAgent>> = {
  "micro-service": {
    description: "webhook, relay, ping, the Sentinel's core",
    sizes: ["XS"],
    typical: { ramMiB: { most: 500 }, cpu: "below 10 %" },
    retention: ["long"],
  },
  "browser-light": {
    description: "Puppeteer, quick checks, headless",
    sizes: ["S", "M"],
    typical: { ramMiB: { least: 1024, most: 2048 }, cpu: "bursts" },
    retention: ["medium", "long"],
  },
  "browser-heavy": {
    description: "Playwright, long scenarios, screenshots, video",
    sizes: ["M"],
    typical: { ramMiB: { least: 4096, most: 8192 }, cpu: "sustained" },
    retention: ["short", "medium"],
  },
  batch: {
    description: "masses of logs, conversion of files",
    sizes: ["M", "L"],
    typical: { ramMiB: { least: 8192 }, cpu: "100 %" },
    retention: ["job"],
  },
  experimental: {
    description: "new, unstable code",
    sizes: ["XS"],
    typical: { ramMiB: {}, cpu: "unpredictable" },
    retention: ["ephemeral"],
  },
};

const kindNames = Object.keys(agentKinds);

function isKind(text: string): text is AgentKind {
  return Object.hasOwn(agentKinds, text);
}

function isSize(text: string): text is VpsSize {
  return Object.hasOwn(vpsSizes, text);
}

/** A kind of agent as a user writes it. */
export function parseAgentKind(property: string, text: string): Checked<AgentKind> {
  if (isKind(text)) return { ok: true, value: text };
  const meant = nearestName(text, kindNames);
  const fix = meant === undefined ? "Choose one of them." : `Did you mean ${meant}?`;
  return { ok: false, faults: [fault(property, text, kindNames.join(", "), fix)] };
}

/** The size that an agent gets unless told otherwise: its kind's floor. */
export function sizeFor(kind: AgentKind): VpsSize {
  return agentKinds[kind].sizes[0];
}

/** A size as a user writes it for an agent: one that exists, and that the grid gives to this kind. */
export function checkSize(property: string, kind: AgentKind, size: string): Checked<VpsSize> {
  const { sizes } = agentKinds[kind];
  if (isSize(size) && sizes.includes(size)) return { ok: true, value: size };
  const limit = `${sizes.join(" or ")} for ${kind}`;
  const floor = sizeFor(kind);
  const above = isSize(size) && sizesInOrder.indexOf(size) > sizesInOrder.indexOf(floor);
  const fix = above
    ? `Write ${floor}, or choose the kind of agent that needs ${size}.`
    : `Write ${floor}: on less it would be killed for its memory.`;
  return { ok: false, faults: [fault(property, size, limit, isSize(size) ? fix : `Write ${floor}.`)] };
}

/** A move to a larger server, proposed by the Sentinel and applied by a person. */
export interface SizeProposal {
  readonly from: VpsSize;
  readonly to: VpsSize;
  /** OOM kills in the last seven days. */
  readonly kills: number;
}

/** The seed's week, ms. */
export const oomWindowMs = 7 * 24 * 3600 * 1000;

/**
 * The seed's rule: a light browser agent on S that lacked memory more than once in seven days moves to M. Times are ms
 * since the epoch, in any order; a kill exactly seven days ago is no longer one of the week, and one after `now` (a
 * clock that was set) not yet.
 */
export function proposeSize(
  agent: { readonly kind: AgentKind; readonly size: VpsSize },
  oomKills: readonly number[],
  now: number,
): SizeProposal | undefined {
  if (agent.kind !== "browser-light" || agent.size !== "S") return undefined;
  const kills = oomKills.filter((at) => at > now - oomWindowMs && at <= now).length;
  return kills > 1 ? { from: "S", to: "M", kills } : undefined;
}

/** A range for people: `1 GiB`, or `8 GiB to 16 GiB`. */
function words({ least, most }: Range, word: (value: number) => string): string {
  return least === most ? word(least) : `${word(least)} to ${word(most)}`;
}

/** What a size has, for people: `8 GiB to 16 GiB with 2 to 8 vCPUs`. */
export function describeSize(size: VpsSize): string {
  const { ramMiB, vcpus } = vpsSizes[size];
  return `${words(ramMiB, formatMiB)} with ${words(vcpus, String)} vCPUs`;
}

/** Whether a server with this memory and these CPUs is of a size. */
export function isOfSize(size: VpsSize, server: { readonly ramMiB: number; readonly vcpus: number }): boolean {
  const within = ({ least, most }: Range, value: number): boolean => value >= least && value <= most;
  const limits = vpsSizes[size];
  return within(limits.ramMiB, server.ramMiB) && within(limits.vcpus, server.vcpus);
}
