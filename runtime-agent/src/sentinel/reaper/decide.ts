/**
 * Which servers are deleted, and when. Pure and total.
 *
 * A server that an agent of the registry answers for goes when the registry has handed it over (it expired, never
 * registered, or said farewell). One that no agent answers for goes when the end in its own tags is past, or when this
 * process has seen it so for as long as a server may take to register. Never goes what lacks one of our tags, another
 * Hive's server, what the configuration names, and the Sentinel's own machine; only by its tags' end what the memory of
 * this Sentinel does not know (`sights.ts`). Each is asked about twice, with a pause, and a brake holds what would delete
 * many at once.
 */
import {
  answersFor,
  doomOf,
  isOurs,
  isStranger,
  placeKey,
  serverKey,
  type AgentLife,
  type ReapPolicy,
} from "./doom.ts";
import { noSights, takeSights, type Sights } from "./sights.ts";
import type { Look, ProviderKind, ServerSeen } from "./types.ts";

export interface ReapView {
  readonly monotonicMs: number;
  readonly wallMs: number;
  readonly agents: readonly AgentLife[];
  /** Those of which there is a look that is not too old to act on. */
  readonly looks: Readonly<Partial<Record<ProviderKind, Look>>>;
  readonly ends: readonly RemovalEnd[];
}

/** How a deletion ended. */
export interface RemovalEnd {
  readonly key: string;
  readonly ok: boolean;
  readonly reason?: string;
}

/** When something was first seen to be so, by both clocks. */
interface Mark {
  readonly lookMs: number;
  readonly wallMs: number;
}

export interface ReapState extends Sights {
  /** When the deletion of each server was begun, Unix ms, in the last hour. Kept over a restart: it is the brake. */
  readonly begunMs: Readonly<Record<string, number>>;
  readonly marks: Readonly<Record<string, Mark>>;
  readonly flying: readonly string[];
  /** Until when a server is left alone after a try, monotonic ms, and how often in a row tries failed. */
  readonly rests: Readonly<Record<string, { readonly untilMs: number; readonly failures: number }>>;
  readonly braked: boolean;
}

export const emptyReap: ReapState = { ...noSights, begunMs: {}, marks: {}, flying: [], rests: {}, braked: false };

export interface Removal {
  readonly key: string;
  readonly server: ServerSeen;
  readonly why: string;
}

export type ReapNews =
  | { readonly kind: "asked" | "begun"; readonly server: ServerSeen; readonly why: string }
  /** This memory does not know it: only the end in its tags deletes it. */
  | { readonly kind: "held"; readonly server: ServerSeen }
  | { readonly kind: "failed"; readonly key: string; readonly reason: string }
  | { readonly kind: "braked"; readonly waiting: number };

export interface ReapOutcome {
  readonly state: ReapState;
  readonly removals: readonly Removal[];
  /** Agents whose server is gone. */
  readonly reaped: readonly { readonly agent: string; readonly life: number }[];
  readonly news: readonly ReapNews[];
}

const hourMs = 3_600_000;
/** Between both clocks more than this apart, and the wall clock was set: the first question no longer counts. */
const driftMs = 60_000;
/** After a deletion that Proxmox or AWS accepted, until it is tried again should the server still be there. */
const settleMs = 10 * 60_000;
const firstRestMs = 60_000;
const mostRestMs = hourMs;

/** Whether the same was seen by a look before this one, at least a pause ago. */
function isSecond(mark: Mark, look: Look, policy: ReapPolicy): boolean {
  return look.atMs > mark.lookMs && look.atMs - mark.lookMs >= policy.pauseMs;
}

/** Whether the wall clock was set since: what it said of an end is then no longer to be believed. */
function wasSet(mark: Mark, view: ReapView): boolean {
  return Math.abs(view.wallMs - mark.wallMs - (view.monotonicMs - mark.lookMs)) > driftMs;
}

function takeEnds(state: ReapState, { ends, monotonicMs }: ReapView, news: ReapNews[]): ReapState {
  if (ends.length === 0) return state;
  const rests = { ...state.rests };
  for (const { key, ok, reason } of ends) {
    const failures = ok ? 0 : (rests[key]?.failures ?? 0) + 1;
    const restMs = ok ? settleMs : Math.min(mostRestMs, firstRestMs * 2 ** Math.min(10, failures - 1));
    rests[key] = { untilMs: monotonicMs + restMs, failures };
    if (!ok) news.push({ kind: "failed", key, reason: reason ?? "no reason given" });
  }
  return { ...state, rests, flying: state.flying.filter((key) => !ends.some((end) => end.key === key)) };
}

interface Ripe {
  readonly removal: Removal;
  readonly sinceMs: number;
}

/** Marks what is doomed, and finds what was so for the second time. */
function askAgain(
  marks: Record<string, Mark>,
  before: ReapState,
  sights: Sights,
  view: ReapView,
  policy: ReapPolicy,
  news: ReapNews[],
): Ripe[] {
  const { wallMs } = view;
  const ripe: Ripe[] = [];
  for (const look of Object.values(view.looks)) {
    for (const server of look.servers) {
      const key = serverKey(server);
      const aloneMs = view.monotonicMs - (sights.aloneMs[key] ?? view.monotonicMs);
      const held = sights.held[placeKey(server)] !== undefined;
      const why = doomOf(server, view.agents, policy, wallMs, { aloneMs, held });
      if (why === undefined) continue;
      const mark = before.marks[key];
      if (mark === undefined || wasSet(mark, view)) {
        // The wall clock as it was when the provider was asked.
        marks[key] = { lookMs: look.atMs, wallMs: wallMs - (view.monotonicMs - look.atMs) };
        if (mark === undefined) news.push({ kind: "asked", server, why });
        continue;
      }
      marks[key] = mark;
      if (isSecond(mark, look, policy)) ripe.push({ removal: { key, server, why }, sinceMs: mark.lookMs });
    }
  }
  return ripe;
}

/** Agents that were handed over and whose server no provider shows, twice. */
function findGone(marks: Record<string, Mark>, before: ReapState, view: ReapView, policy: ReapPolicy) {
  const reaped: { agent: string; life: number }[] = [];
  for (const agent of view.agents) {
    if (agent.handedOver === undefined) continue;
    const wanted = agent.provider === undefined ? policy.providers : [agent.provider.kind];
    const looks = wanted.flatMap((kind) => view.looks[kind] ?? []);
    const blind = wanted.length === 0 || looks.length < wanted.length || isStranger(agent, view.looks);
    if (
      blind ||
      looks.some(({ servers }) => servers.some((server) => isOurs(server, policy) && answersFor(agent, server)))
    )
      continue;
    const key = `gone/${agent.name}/${String(agent.life)}`;
    const oldest = looks.toSorted((a, b) => a.atMs - b.atMs)[0];
    const mark = before.marks[key];
    if (oldest === undefined) continue;
    if (mark === undefined) marks[key] = { lookMs: view.monotonicMs, wallMs: view.wallMs };
    else {
      marks[key] = mark;
      if (isSecond(mark, oldest, policy)) reaped.push({ agent: agent.name, life: agent.life });
    }
  }
  return reaped;
}

/** One decision; `removals` are begun only when the state is kept. */
export function decideReap(before: ReapState, view: ReapView, policy: ReapPolicy): ReapOutcome {
  const news: ReapNews[] = [];
  const state = takeEnds(before, view, news);
  const marks: Record<string, Mark> = {};
  // A provider that does not answer leaves what was asked about as it was.
  for (const [key, mark] of Object.entries(state.marks)) {
    const kind = policy.providers.find((one) => key.startsWith(`${one}/`));
    if (kind !== undefined && view.looks[kind] === undefined) marks[key] = mark;
  }
  const { sights, spared } = takeSights(state, view, policy);
  for (const server of spared) news.push({ kind: "held", server });
  const ripe = askAgain(marks, state, sights, view, policy, news);
  const reaped = findGone(marks, state, view, policy);

  const { wallMs, monotonicMs } = view;
  const begunMs: Record<string, number> = {};
  for (const [key, at] of Object.entries(state.begunMs)) {
    // What lies in the future was begun before the clock was set back.
    const atMs = Math.min(at, wallMs);
    if (atMs > wallMs - hourMs) begunMs[key] = atMs;
  }
  const mayTry = ripe
    .filter(({ removal: { key } }) => !state.flying.includes(key) && (state.rests[key]?.untilMs ?? 0) <= monotonicMs)
    .toSorted((a, b) => a.sinceMs - b.sinceMs || (a.removal.key < b.removal.key ? -1 : 1));
  const removals: Removal[] = [];
  let held = 0;
  for (const { removal } of mayTry) {
    const again = begunMs[removal.key] !== undefined;
    if (!again && Object.keys(begunMs).length >= policy.mostPerHour) {
      held += 1;
      continue;
    }
    begunMs[removal.key] ??= wallMs;
    removals.push(removal);
    news.push({ kind: "begun", server: removal.server, why: removal.why });
  }
  if (held > 0 && !state.braked) news.push({ kind: "braked", waiting: held });

  const alive = new Set([...Object.keys(marks), ...state.flying, ...removals.map(({ key }) => key)]);
  return {
    state: {
      ...sights,
      begunMs,
      marks,
      flying: [...state.flying, ...removals.map(({ key }) => key)],
      rests: Object.fromEntries(Object.entries(state.rests).filter(([key]) => alive.has(key))),
      braked: held > 0,
    },
    removals,
    reaped,
    news,
  };
}
