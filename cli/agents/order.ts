/** What `hive agent new` was told, checked all at once, each fault named by the option that it came from. Pure. */
import { dnsLabel, fault } from "../../components/shared/check.ts";
import type { Checked, Fault } from "../../components/shared/faults.ts";
import { nearestName } from "../../components/shared/nearestName.ts";
import type { Budget } from "../../components/shared/vps/budget.ts";
import { type AgentTransport, heavyAgentHostname } from "../../components/shared/vps/heavyAgentPlan.ts";
import type { Offer } from "../../components/shared/vps/offers.ts";
import { type VpsProvider, planServer } from "../../components/shared/vps/serverPlan.ts";
import { type AgentKind, parseAgentKind, type VpsSize } from "../../components/shared/vps/sizing.ts";
import { formatUtc } from "../../components/shared/vps/utc.ts";
import { parseDuration } from "./duration.ts";

/** The words of the command line. */
export interface OrderWords {
  readonly name: string;
  readonly kind?: string | undefined;
  /** @default the floor of its kind */
  readonly size?: string | undefined;
  /** @default "24h" */
  readonly ttl?: string | undefined;
  /** @default "job" */
  readonly mode?: string | undefined;
  readonly idempotent: boolean;
  /** @default "proxmox" */
  readonly provider?: string | undefined;
  /** @default "http" */
  readonly transport?: string | undefined;
}

/** What they are held against. */
export interface OrderGround {
  /** What each provider sells. */
  readonly offers: Readonly<Record<VpsProvider, readonly Offer[]>>;
  readonly budget: Budget;
  /** Name of the Hive, as its Sentinel says it. */
  readonly estate: string;
  readonly nowMs: number;
}

/** An agent with its server, decided. */
export interface AgentOrder {
  readonly name: string;
  readonly estate: string;
  readonly kind: AgentKind;
  readonly size: VpsSize;
  readonly mode: "job" | "resident";
  readonly idempotent: boolean;
  readonly provider: VpsProvider;
  /** How its signals come. */
  readonly transport: AgentTransport;
  /** UTC, whole seconds: the time to live counts from here. */
  readonly created: string;
  readonly ttlSec: number;
  /** What the server costs, for people. */
  readonly price: string;
  readonly offer: Offer;
}

const modes = ["job", "resident"] as const;
const providers = ["proxmox", "lightsail"] as const;
const transports = ["http", "ssh"] as const;
export const usualTtl = "24h";

/** Properties of a server's plan as the command line calls them. */
const optionOf: Readonly<Record<string, string>> = {
  size: "--size",
  ttlSec: "--ttl",
  agent: "NAME",
  name: "NAME",
  offers: "--size",
};

function oneOf<T extends string>(option: string, word: string, known: readonly T[], faults: Fault[]): T | undefined {
  const found = known.find((each) => each === word);
  if (found !== undefined) return found;
  const meant = nearestName(word, known);
  const fix = meant === undefined ? "Choose one of them." : `Did you mean ${meant}?`;
  faults.push(fault(option, word, known.join(", "), fix));
  return undefined;
}

/** A time to live in seconds; a fault is added to the list when it is none. Its bounds are the server plan's. */
export function readTtl(word: string, faults: Fault[]): number | undefined {
  const ttlSec = parseDuration(word);
  if (ttlSec === undefined)
    faults.push(fault("--ttl", word, "a number with s, m, h, d or w, for example 90m, 24h or 7d", "Write it so."));
  return ttlSec;
}

function readKind(word: string | undefined, faults: Fault[]): AgentKind | undefined {
  const kind = parseAgentKind("--kind", word ?? "");
  if (kind.ok) return kind.value;
  for (const each of kind.faults) faults.push(word === undefined ? { ...each, value: undefined } : each);
  return undefined;
}

/** An agent's order, or everything that is wrong with it. */
export function readOrder(words: OrderWords, ground: OrderGround): Checked<AgentOrder> {
  const faults: Fault[] = [];
  const { name, idempotent, size } = words;
  if (!dnsLabel.test(name))
    faults.push(fault("NAME", name, "a DNS label: a-z, 0-9 and -, 1 to 63 characters", "Rename the agent."));
  const kind = readKind(words.kind, faults);
  const mode = oneOf("--mode", words.mode ?? "job", modes, faults);
  const provider = oneOf("--provider", words.provider ?? "proxmox", providers, faults);
  const transport = oneOf("--transport", words.transport ?? "http", transports, faults);
  const ttlSec = readTtl(words.ttl ?? usualTtl, faults);
  if (mode === "resident" && idempotent)
    faults.push(fault("--idempotent", "given", "for --mode job alone", "Leave it out: a resident agent has no runs."));
  const created = formatUtc(Math.floor(ground.nowMs / 1000));
  // With a word that was not understood, one that is stands in: what else is wrong is told all the same.
  const plan = planServer({
    name: heavyAgentHostname(dnsLabel.test(name) ? name : "x"),
    provider: provider ?? "proxmox",
    kind: kind ?? "micro-service",
    size: kind === undefined ? undefined : size,
    life: { agent: dnsLabel.test(name) ? name : "x", estate: ground.estate, created, ttlSec: ttlSec ?? 3600 },
    offers: ground.offers[provider ?? "proxmox"],
    budget: ground.budget,
    openings: [],
    nowMs: ground.nowMs,
  });
  if (!plan.ok) for (const each of plan.faults) addNamed(each, faults);
  if (faults.length > 0 || !plan.ok || !kind || !mode || !provider || !transport || ttlSec === undefined)
    return { ok: false, faults };
  const { size: decided, offer, price } = plan.value;
  return {
    ok: true,
    value: {
      ...{ name, estate: ground.estate, kind, size: decided, mode, idempotent, provider, transport },
      ...{ created, ttlSec, price, offer },
    },
  };
}

function addNamed(found: Fault, faults: Fault[]): void {
  const property = optionOf[found.property] ?? found.property;
  if (!faults.some((each) => each.property === property)) faults.push({ ...found, property });
}
