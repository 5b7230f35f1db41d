/** Which servers are to go, by the registry and by their own tags, and which nobody can let go. Pure and total. */
import type { AgentRecord, Provider } from "../core/types.ts";
import type { Look, ProviderKind, ServerSeen } from "./types.ts";

export interface ReapPolicy {
  /** Name of this Hive; without one no server is its own. */
  readonly estate: string | undefined;
  /** Past the end in a server's tags, ms. */
  readonly graceMs: number;
  /** How long a server may be there until an agent answers for it, ms. */
  readonly registerWithinMs: number;
  readonly pauseMs: number;
  readonly mostPerHour: number;
  /** Names and numbers of servers that are never deleted; the Sentinel's own among them. */
  readonly never: readonly string[];
  /** Those that can be looked at. */
  readonly providers: readonly ProviderKind[];
}

export type AgentLife = Pick<AgentRecord, "name" | "life" | "provider" | "registered" | "handedOver"> & {
  /** While it moves: where its next server will be. */
  readonly pending?: { readonly provider?: Provider };
};

/** What this process knows of a server, see `sights.ts`. */
export interface Sight {
  /** How long it has seen no agent that answers for it, ms. */
  readonly aloneMs: number;
  /** The registry may have forgotten its agent: the end in its own tags alone counts. */
  readonly held: boolean;
}

/** Names one server in one life: numbers and names are used again, then with other tags. */
export function serverKey({ provider, id, tags }: ServerSeen): string {
  return `${provider}/${id}/${tags.agent}/${String(tags.expiresSec)}`;
}

/** Names a server for as long as it is there, whatever becomes of the end in its tags. */
export function placeKey({ provider, id, tags }: ServerSeen): string {
  return `${provider}/${id}/${tags.agent}`;
}

/** Whether its tags say that it is this Hive's. Another's is nobody's business here. */
export function isOurs({ tags }: ServerSeen, { estate }: Pick<ReapPolicy, "estate">): boolean {
  return estate !== undefined && tags.estate === estate;
}

/** Whether a server is an agent's: by its name, where the agent is or where it moves to. */
export function answersFor({ name, provider, pending }: AgentLife, { provider: kind, id, tags }: ServerSeen): boolean {
  if (name !== tags.agent) return false;
  return provider === undefined || [provider, pending?.provider].some((one) => one?.kind === kind && one.id === id);
}

const handedOverWords = {
  unregistered: "it never registered",
  expired: "its time to live is over",
  farewell: "it said farewell",
} as const;

/** Why a server is to be deleted; undefined when it is not. */
export function doomOf(
  server: ServerSeen,
  agents: readonly AgentLife[],
  policy: ReapPolicy,
  wallMs: number,
  { aloneMs, held }: Sight,
): string | undefined {
  if (!isOurs(server, policy)) return undefined;
  if (policy.never.includes(server.id) || policy.never.includes(server.name)) return undefined;
  const agent = agents.find((one) => answersFor(one, server));
  const why = agent?.handedOver?.why;
  // Whether it registered after a backup was made is not in that backup.
  const isForgotten = held && why === "unregistered";
  if (agent !== undefined && !isForgotten) return why === undefined ? undefined : handedOverWords[why];
  const endMs = server.tags.expiresSec * 1000 + policy.graceMs;
  if (wallMs > endMs) return "no agent answers for it, and the end in its tags is past";
  // Its agent's registration lapsed before it came up: the lease that would have ended it is gone.
  return !held && aloneMs >= policy.registerWithinMs ? "no agent answers for it, and it never registered" : undefined;
}

/** Whether what stands under an agent's own id lacks one of our tags: it may be its server, and is not touched. */
export function isStranger({ provider }: AgentLife, looks: Readonly<Partial<Record<ProviderKind, Look>>>): boolean {
  return provider !== undefined && looks[provider.kind]?.strangers.includes(provider.id) === true;
}

export interface Stranded {
  readonly agent: string;
  readonly provider?: ProviderKind;
  /** What the reaper would need to delete its server. */
  readonly lacks: "credentials" | "tags";
}

/** Agents whose server was handed over and cannot be deleted: their servers stay, and are billed. */
export function strandedOf(
  agents: readonly AgentLife[],
  { providers }: Pick<ReapPolicy, "providers">,
  looks: Readonly<Partial<Record<ProviderKind, Look>>>,
): readonly Stranded[] {
  return agents.flatMap((agent): Stranded[] => {
    const { name, provider, handedOver } = agent;
    if (handedOver === undefined) return [];
    const at = provider === undefined ? {} : { provider: provider.kind };
    const blind = provider === undefined ? providers.length === 0 : !providers.includes(provider.kind);
    if (blind) return [{ agent: name, ...at, lacks: "credentials" }];
    return isStranger(agent, looks) ? [{ agent: name, ...at, lacks: "tags" }] : [];
  });
}
