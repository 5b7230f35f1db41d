/** What the servers of a target are promised of the budget: the Sentinel's and every known agent's. */
import { configNamespace } from "../../components/shared/genesisConfig.ts";
import { type Budget, commitmentsOf, type KnownServer } from "../../components/shared/vps/budget.ts";
import { knownBundles, regionOf } from "../../components/shared/vps/lightsail.ts";
import { parseAgentKind, sizeFor, vpsSizes, type VpsSize } from "../../components/shared/vps/sizing.ts";
import type { AgentSeen } from "../sentinel/answers.ts";
import { readTracked } from "../targets/tracked.ts";
import { agentSettings, knownAgents, writeAgentSettings } from "./store.ts";
import { usualZone } from "./zone.ts";

type Config = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Config =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isSize = (value: unknown): value is VpsSize => typeof value === "string" && Object.hasOwn(vpsSizes, value);
const key = (name: string): string => `${configNamespace}:${name}`;
const nameOf = (agent: string): string => `agent ${agent}`;

/** US cents a month for all servers together, where nobody set a budget. */
const usualCents = 5000;

/** A server at Lightsail as a stack's settings place it; undefined for one that is elsewhere. */
function atLightsail(config: Config, what: string, size: VpsSize): KnownServer | undefined {
  const place = config[key("lightsail")];
  const zone = isRecord(place) ? place["zone"] : undefined;
  if (typeof zone !== "string") return undefined;
  return { what, provider: "lightsail", size, offers: knownBundles(regionOf(zone) ?? "") };
}

/** The server that an agent's settings speak of; undefined as long as they are not complete. Pure. */
export function serverOfSettings(name: string, config: Config): KnownServer | undefined {
  const agent = config[key("agent")];
  if (!isRecord(agent)) return undefined;
  const kind = parseAgentKind("kind", String(agent["kind"]));
  if (!kind.ok) return undefined;
  return atLightsail(config, nameOf(name), isSize(agent["size"]) ? agent["size"] : sizeFor(kind.value));
}

/**
 * The server that the registry speaks of, also the one that it moves to; it does not know the zone, so the price is the
 * usual one's. Pure.
 */
export function serverOfRegistry(
  { name, size, provider, pending }: AgentSeen,
  zone: string = usualZone,
): KnownServer | undefined {
  if (provider?.kind !== "lightsail" && pending?.provider?.kind !== "lightsail") return undefined;
  return { what: nameOf(name), provider: "lightsail", size, offers: knownBundles(regionOf(zone) ?? "") };
}

/** The Sentinel's own server: an XS, as the grid has it for a micro-service. Pure. */
export function sentinelServer(config: Config): KnownServer | undefined {
  return atLightsail(config, "the Sentinel", sizeFor("micro-service"));
}

/** The configured budget of stack `sentinel`. Pure. */
export function configuredBudget(config: Config): Required<Pick<Budget, "centsPerMonth" | "committedCents">> {
  const budget = config[key("budget")];
  const centsOf = (name: string, usual: number): number => {
    const cents = isRecord(budget) ? budget[name] : undefined;
    return cents === undefined ? usual : Number(cents);
  };
  return { centsPerMonth: centsOf("centsPerMonth", usualCents), committedCents: centsOf("committedCents", 0) };
}

/**
 * The budget as it stands for one agent: what the Sentinel's settings say, less its own server and those of the other
 * agents, by their settings here and by the registry where that was asked. On the lab the Sentinel is a process and the
 * budget the usual one.
 */
export function budgetFor(kind: "lab" | "real", agent: string, registry: readonly AgentSeen[] = []): Budget {
  const config = kind === "real" ? readTracked("sentinel").config : {};
  const servers = [
    sentinelServer(config),
    ...knownAgents(kind).map((name) => serverOfSettings(name, agentSettings(kind, name).config)),
    ...registry.map((seen) => serverOfRegistry(seen)),
  ].flatMap((server) => server ?? []);
  return { ...configuredBudget(config), committed: commitmentsOf(servers, nameOf(agent)) };
}

/** Writes it into an agent's settings where it has changed since: others came and went after the order. */
export function renewBudget(kind: "lab" | "real", agent: string): void {
  const { centsPerMonth, committedCents = 0, committed = [] } = budgetFor(kind, agent);
  const budget = { centsPerMonth, committedCents, committed: committed.map((part) => ({ ...part })) };
  const { config } = agentSettings(kind, agent);
  if (JSON.stringify(config[key("budget")]) !== JSON.stringify(budget))
    writeAgentSettings(kind, agent, { [key("budget")]: budget });
}
