/** Which servers are to go, by the registry and by their own tags, and which nobody can let go. Pure and total. */
import type { AgentRecord } from "../core/types.ts";
import type { ProviderKind, ServerSeen } from "./types.ts";

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

export type AgentLife = Pick<AgentRecord, "name" | "life" | "provider" | "handedOver">;

/** Names one server in one life: numbers and names are used again, then with other tags. */
export function serverKey({ provider, id, tags }: ServerSeen): string {
  return `${provider}/${id}/${tags.agent}/${String(tags.expiresSec)}`;
}

/** Whether its tags say that it is this Hive's. Another's is nobody's business here. */
export function isOurs({ tags }: ServerSeen, { estate }: Pick<ReapPolicy, "estate">): boolean {
  return estate !== undefined && tags.estate === estate;
}

export function answersFor(agent: AgentLife, { provider, id, tags }: ServerSeen): boolean {
  if (agent.name !== tags.agent) return false;
  return agent.provider === undefined || (agent.provider.kind === provider && agent.provider.id === id);
}

const handedOverWords = {
  unregistered: "it never registered",
  expired: "its time to live is over",
  farewell: "it said farewell",
} as const;

/**
 * Why a server is to be deleted; undefined when it is not.
 * @param bornMs Since when it could have registered here, Unix ms.
 */
export function doomOf(
  server: ServerSeen,
  agents: readonly AgentLife[],
  policy: ReapPolicy,
  wallMs: number,
  bornMs: number,
): string | undefined {
  if (!isOurs(server, policy)) return undefined;
  if (policy.never.includes(server.id) || policy.never.includes(server.name)) return undefined;
  const agent = agents.find((one) => answersFor(one, server));
  if (agent !== undefined) return agent.handedOver === undefined ? undefined : handedOverWords[agent.handedOver.why];
  const endMs = server.tags.expiresSec * 1000 + policy.graceMs;
  if (wallMs > endMs) return "no agent answers for it, and the end in its tags is past";
  // Its agent's registration lapsed before it came up: the lease that would have ended it is gone.
  return wallMs - bornMs >= policy.registerWithinMs ? "no agent answers for it, and it never registered" : undefined;
}

/** Agents whose server was handed over and whose provider cannot be looked at: their servers stay, and are billed. */
export function strandedOf(
  agents: readonly AgentLife[],
  { providers }: Pick<ReapPolicy, "providers">,
): readonly { readonly agent: string; readonly provider?: ProviderKind }[] {
  return agents.flatMap(({ name, provider, handedOver }) => {
    if (handedOver === undefined) return [];
    const blind = provider === undefined ? providers.length === 0 : !providers.includes(provider.kind);
    if (!blind) return [];
    return [{ agent: name, ...(provider === undefined ? {} : { provider: provider.kind }) }];
  });
}
