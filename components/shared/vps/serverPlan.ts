/** One server of the Sentinel's or of an agent, decided from plain values: size, offer, price, tags, openings. Pure. */
import { checkForm, checkWhole, dnsLabel, fault } from "../check.ts";
import { formatIpv4, parseIpv4 } from "../ipv4.ts";
import { formatMiB } from "../units.ts";
import { budgetInWords, committedOf, leftOf, type Budget } from "./budget.ts";
import { cheapestOffer, formatCents, type Offer } from "./offers.ts";
import { checkSize, sizeFor, type AgentKind, type VpsSize } from "./sizing.ts";
import { lightsailTags, proxmoxTagList, type ServerTags } from "./tags.ts";
import { formatUtc, parseUtc } from "./utc.ts";
import type { Checked, Fault } from "../faults.ts";

/** Where a server may be. */
export type VpsProvider = "proxmox" | "lightsail";

/** One port that a server is to be reached on; every other one is closed. */
export interface Opening {
  readonly port: number;
  /** @default "tcp" */
  readonly protocol?: "tcp" | "udp" | undefined;
  /** Who may: IPv4 networks or addresses, such as `203.0.113.7/32`. */
  readonly from: readonly string[];
  /** Why it is open. */
  readonly comment: string;
}

/** An opening with its default filled in. */
export interface OpenPort extends Opening {
  readonly protocol: "tcp" | "udp";
}

/** What a server is for, and how long. */
export type ServerLife =
  | {
      /** Name of the agent; a DNS label. */
      readonly agent: string;
      /** Name of the Hive that it is of, as its Sentinel has it; a DNS label. */
      readonly estate: string;
      /** When it was asked for, in UTC: `2026-12-01T00:00:00Z`. Its time to live counts from here until it is renewed. */
      readonly created: string;
      /** When it was renewed last, in UTC: its time to live counts from there, so that it can be renewed for ever. @default never */
      readonly renewed?: string | undefined;
      /** Its time to live, s. */
      readonly ttlSec: number;
    }
  /** The Sentinel: no end, and protected. */
  | "sentinel";

/** Plain values of a server. */
export interface ServerSpec {
  /** Its name at the provider; a DNS label. */
  readonly name: string;
  readonly provider: VpsProvider;
  readonly kind: AgentKind;
  /** @default the floor of its kind */
  readonly size?: string | undefined;
  readonly life: ServerLife;
  /** What the provider sells. */
  readonly offers: readonly Offer[];
  readonly budget: Budget;
  readonly openings: readonly Opening[];
  /** The time, ms since the epoch. */
  readonly nowMs: number;
}

/** A server, decided. */
export interface ServerPlan {
  readonly size: VpsSize;
  readonly offer: Offer;
  /** Each network once, in the form `address/prefix`; the ports in order. */
  readonly openings: readonly OpenPort[];
  /** Tags in each provider's form. */
  readonly tags: { readonly lightsail: Readonly<Record<string, string>>; readonly proxmox: readonly string[] };
  /** End of its time to live, Unix seconds; the Sentinel has none. */
  readonly expiresSec?: number | undefined;
  readonly protect: boolean;
  /** What it costs and what is left of the budget, for people. */
  readonly price: string;
}

/** What one's own Proxmox host gives: one server of each size. Nothing is billed. */
export const proxmoxOffers: readonly Offer[] = [
  { id: "proxmox-xs", ramMiB: 1024, vcpus: 1, centsPerMonth: 0, centsPerHour: 0 },
  { id: "proxmox-s", ramMiB: 2048, vcpus: 2, centsPerMonth: 0, centsPerHour: 0 },
  { id: "proxmox-m", ramMiB: 8192, vcpus: 4, centsPerMonth: 0, centsPerHour: 0 },
  { id: "proxmox-l", ramMiB: 32_768, vcpus: 8, centsPerMonth: 0, centsPerHour: 0 },
];

const mostCents = 10_000_000;
/** Shortest time to live, s: installing takes its minutes. Longest: a year. */
export const ttlSecOf = { least: 600, most: 366 * 24 * 3600 } as const;
/** How far the clock of who asked may be ahead of this one's, ms. */
const clockSkewMs = 300_000;
/** SSH, which installs; the port of the runner for the Sentinel; the Sentinel's port for runners. */
export const serverPorts = { ssh: 22, runner: 8943, sentinel: 8944 } as const;

/** A network as providers take it, `10.0.0.0/8`; undefined for what is none. An address is a network of its own. */
function networkOf(text: string): { readonly cidr: string; readonly prefix: number } | undefined {
  const [, quad = "", bits = "32"] = /^([\d.]+)(?:\/(\d|[12]\d|3[0-2]))?$/.exec(text) ?? [];
  const address = parseIpv4(quad);
  if (address === undefined) return undefined;
  const prefix = Number(bits);
  return { cidr: `${formatIpv4(address - (address % 2 ** (32 - prefix)))}/${bits}`, prefix };
}

/** Addresses and networks as a firewall takes them: `10.0.0.0/8`, each once; what is none is left out. */
export function networksOf(texts: readonly string[]): readonly string[] {
  return [...new Set(texts.flatMap((text) => networkOf(text)?.cidr ?? []))].toSorted();
}

/** Only these may be reached from everywhere: they let in nobody without a key of their own. */
const publicPorts: readonly number[] = [serverPorts.sentinel];

function openingFaults(openings: readonly Opening[], life: ServerLife): Fault[] {
  return openings.flatMap((opening, index) => {
    const path = `openings[${String(index)}]`;
    const fix = "Leave the port closed, or name who needs it.";
    const faults = checkWhole(`${path}.port`, opening.port, 1, 65_535, "", "Give a port.");
    if (opening.from.length === 0)
      faults.push(fault(`${path}.from`, opening.from, "at least one address or network", fix));
    opening.from.forEach((text, at) => {
      const network = networkOf(text);
      const property = `${path}.from[${String(at)}]`;
      if (network === undefined)
        faults.push(fault(property, text, "an IPv4 address or network such as 203.0.113.0/24", "Write it in numbers."));
      else if (network.prefix < 8 && !(life === "sentinel" && publicPorts.includes(opening.port)))
        faults.push(fault(property, text, "a network of /8 or smaller: the port is not for everybody", fix));
    });
    const twin = openings.findIndex(
      ({ port, protocol }) => port === opening.port && (protocol ?? "tcp") === (opening.protocol ?? "tcp"),
    );
    if (twin < index) faults.push(fault(`${path}.port`, opening.port, "each port once", "Join the two openings."));
    return faults;
  });
}

/** Unix seconds of an instant that has come; a fault is added to the list where it is none. */
function pastOf(property: string, text: string, fix: string, nowMs: number, faults: Fault[]): number | undefined {
  const seconds = parseUtc(text);
  if (seconds === undefined)
    faults.push(fault(property, text, "a time in UTC such as 2026-12-01T00:00:00Z", `${fix}.`));
  else if (seconds * 1000 > nowMs + clockSkewMs) {
    const limit = `a time that has come; it is ${formatUtc(Math.floor(nowMs / 1000))}`;
    faults.push(fault(property, text, limit, `${fix}, or set this machine's clock.`));
  }
  return seconds;
}

/** What a throwaway server is marked with, and what is wrong with it. One whose time is over is refused. */
function lifeOf({ life, nowMs }: ServerSpec): Checked<ServerTags | undefined> {
  if (life === "sentinel") return { ok: true, value: undefined };
  const { agent, estate, created, renewed, ttlSec } = life;
  const form = "a DNS label: a-z, 0-9 and -, 1 to 63 characters";
  const faults = [
    ...checkForm("agent", agent, dnsLabel, form, "Rename the agent."),
    ...checkForm("estate", estate, dnsLabel, form, "Write the one of its Sentinel."),
    ...checkWhole("ttlSec", ttlSec, ttlSecOf.least, ttlSecOf.most, "s", "Write seconds."),
  ];
  const createdSec = pastOf("created", created, "Write when the agent was asked for", nowMs, faults);
  const fromSec =
    renewed === undefined
      ? createdSec
      : pastOf("renewed", renewed, "Leave it as hive agent renew wrote it", nowMs, faults);
  if (faults.length > 0 || fromSec === undefined) return { ok: false, faults };
  const expiresSec = fromSec + ttlSec;
  if (expiresSec * 1000 > nowMs) return { ok: true, value: { estate, agent, expiresSec } };
  const fix = `Renew it with \`hive agent renew ${agent}\`, or destroy it with \`hive agent destroy ${agent}\`.`;
  const age = Math.floor(nowMs / 1000) - fromSec;
  const limit = `more than the ${String(age)} s since ${renewed ?? created}: its time to live is over`;
  return { ok: false, faults: [fault("ttlSec", ttlSec, limit, fix)] };
}

/** The offer within the budget; whatever is wrong with size, offers and budget. */
function offerOf(spec: ServerSpec): Checked<{ readonly size: VpsSize; readonly offer: Offer }> {
  const size = checkSize("size", spec.kind, spec.size ?? sizeFor(spec.kind));
  const left = leftOf(spec.budget);
  const faults = [...(size.ok ? [] : size.faults), ...(left.ok ? [] : left.faults)];
  if (!size.ok) return { ok: false, faults };
  // Without a budget that can be read, what the offers lack is still told.
  const offer = cheapestOffer(size.value, spec.offers, left.ok ? left.value : mostCents);
  if (!offer.ok) {
    const named = offer.faults.map((each) =>
      each.property === "budgetLeftCents" ? { ...each, property: "budget", value: budgetInWords(spec.budget) } : each,
    );
    return { ok: false, faults: [...faults, ...named] };
  }
  return faults.length > 0 ? { ok: false, faults } : { ok: true, value: { size: size.value, offer: offer.value } };
}

function priceText(spec: ServerSpec, offer: Offer): string {
  const { centsPerMonth } = spec.budget;
  const server = `${spec.name}: ${offer.id} at ${spec.provider}, ${formatMiB(offer.ramMiB)} and ${String(offer.vcpus)} vCPUs`;
  if (offer.centsPerMonth === 0) return `${server}: on your own hardware, nothing is billed`;
  const promised = formatCents(committedOf(spec.budget) + offer.centsPerMonth);
  return `${server}: at most ${formatCents(offer.centsPerMonth)} a month, ${formatCents(offer.centsPerHour)} an hour; with it ${promised} of ${formatCents(centsPerMonth)} a month are promised`;
}

/** Decides a server. @returns its plan, or every fault of the arguments at once. */
export function planServer(spec: ServerSpec): Checked<ServerPlan> {
  const chosen = offerOf(spec);
  const life = lifeOf(spec);
  const faults = [
    ...checkForm(
      "name",
      spec.name,
      dnsLabel,
      "a DNS label: a-z, 0-9 and -, 1 to 63 characters",
      "Give a shorter name.",
    ),
    ...(chosen.ok ? [] : chosen.faults),
    ...(life.ok ? [] : life.faults),
    ...openingFaults(spec.openings, spec.life),
  ];
  if (faults.length > 0 || !chosen.ok || !life.ok) return { ok: false, faults };
  const mark = life.value;
  return {
    ok: true,
    value: {
      ...chosen.value,
      openings: spec.openings
        .map(({ port, protocol, from, comment }) => ({
          port,
          protocol: protocol ?? ("tcp" as const),
          from: networksOf(from),
          comment,
        }))
        .toSorted((a, b) => a.port - b.port || (a.protocol < b.protocol ? -1 : 1)),
      tags:
        mark === undefined
          ? { lightsail: { "hive:role": "sentinel" }, proxmox: ["hive-sentinel"] }
          : { lightsail: lightsailTags(mark), proxmox: proxmoxTagList(mark) },
      ...(mark === undefined ? {} : { expiresSec: mark.expiresSec }),
      protect: mark === undefined,
      price: priceText(spec, chosen.value.offer),
    },
  };
}
