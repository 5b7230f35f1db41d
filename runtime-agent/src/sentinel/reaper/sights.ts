/**
 * What was seen of our servers: since when nobody answers for one, and which ones this memory does not know. Pure.
 *
 * A server that was there at this process's first look, that what is kept does not name, and that no agent registered
 * from: the memory may be a backup of another day, or new, and the server healthy. It is held: only the end in its own
 * tags deletes it.
 */
import type { AgentLife, ReapPolicy } from "./doom.ts";
import { answersFor, doomOf, isOurs, placeKey, serverKey } from "./doom.ts";
import type { Look, ProviderKind, ServerSeen } from "./types.ts";

export interface Sights {
  /** When each server of ours that this memory knows was first seen, Unix ms. Kept over a restart. */
  readonly seenMs: Readonly<Record<string, number>>;
  /** Providers that this process has looked at. */
  readonly looked: readonly ProviderKind[];
  /** Since when no agent answers for a server, monotonic ms: never longer than this process runs. */
  readonly aloneMs: Readonly<Record<string, number>>;
  /** Servers that are held, by {@link placeKey}, and whether people were told. */
  readonly held: Readonly<Record<string, boolean>>;
}

export const noSights: Sights = { seenMs: {}, looked: [], aloneMs: {}, held: {} };

interface View {
  readonly monotonicMs: number;
  readonly wallMs: number;
  readonly agents: readonly AgentLife[];
  readonly looks: Readonly<Partial<Record<ProviderKind, Look>>>;
}

/** A provider that does not answer leaves what is known of it as it was. */
function partOf<T>(all: Readonly<Record<string, T>>, kind: ProviderKind): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(all).filter(([key]) => key.startsWith(`${kind}/`)));
}

/** Takes the newest looks in; `spared` are servers that would go if they were not held, each told once. */
export function takeSights(
  before: Sights,
  { monotonicMs, wallMs, agents, looks }: View,
  policy: ReapPolicy,
): { readonly sights: Sights; readonly spared: readonly ServerSeen[] } {
  const [seenMs, aloneMs, held]: [Record<string, number>, Record<string, number>, Record<string, boolean>] = [
    {},
    {},
    {},
  ];
  const spared: ServerSeen[] = [];
  for (const kind of policy.providers) {
    const look = looks[kind];
    if (look === undefined) {
      Object.assign(seenMs, partOf(before.seenMs, kind));
      Object.assign(aloneMs, partOf(before.aloneMs, kind));
      Object.assign(held, partOf(before.held, kind));
      continue;
    }
    const isFirst = !before.looked.includes(kind);
    for (const server of look.servers.filter((one) => isOurs(one, policy))) {
      const [key, place] = [serverKey(server), placeKey(server)];
      const agent = agents.find((one) => answersFor(one, server));
      if (agent === undefined) aloneMs[key] = before.aloneMs[key] ?? monotonicMs;
      const wasHeld = before.held[place];
      const isStrange = wasHeld !== undefined || (isFirst && before.seenMs[key] === undefined);
      if (!isStrange || agent?.registered !== undefined) {
        // What lies in the future was seen before the clock was set back.
        seenMs[key] = Math.min(before.seenMs[key] ?? wallMs, wallMs);
        continue;
      }
      const wouldGo = (isHeld: boolean): boolean =>
        doomOf(server, agents, policy, wallMs, { aloneMs: Number.POSITIVE_INFINITY, held: isHeld }) !== undefined;
      const isSpared = wouldGo(false) && !wouldGo(true);
      if (isSpared && wasHeld !== true) spared.push(server);
      held[place] = wasHeld === true || isSpared;
    }
  }
  const looked = policy.providers.filter((kind) => before.looked.includes(kind) || looks[kind] !== undefined);
  return { sights: { seenMs, looked, aloneMs, held }, spared };
}
