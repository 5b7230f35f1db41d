/** What a campaign of signals comes to: the verdict on all of them, and how long they were on their way. */
import type { Begins } from "./begins.ts";
import type { Signal } from "./caller.ts";
import { judgeStory } from "./judge.ts";
import type { Member } from "./team.ts";

export interface Verdicts {
  readonly lost: number;
  readonly doubled: number;
  readonly misreported: number;
  readonly interrupted: number;
  /** Begun more than once, under the same id. */
  readonly retried: number;
}

const mostTold = 20;

export function verdictOf(options: {
  readonly signals: readonly Signal[];
  readonly begins: Begins;
  readonly members: readonly Member[];
  readonly tell: (line: string) => void;
}): Verdicts {
  const { signals, begins, members, tell } = options;
  const idempotent = new Map(members.map((member) => [member.name, member.idempotent]));
  const idsOf = new Map(signals.map(({ key, ids }) => [key, ids]));
  // What an agent was given under a key belongs to it, whoever was told of it.
  for (const [runId, key] of begins.keys()) idsOf.get(key)?.add(runId);
  const count = { lost: 0, doubled: 0, misreported: 0, interrupted: 0, retried: 0 };
  let told = 0;
  for (const signal of signals) {
    const begunMs = [...signal.ids].flatMap((id) => begins.of(id));
    const story = { ...signal, begunMs, idempotent: idempotent.get(signal.agent) === true };
    const verdict = judgeStory(story);
    for (const kind of ["lost", "doubled", "misreported"] as const) {
      if (verdict[kind].length === 0) continue;
      count[kind] += 1;
      if ((told += 1) <= mostTold)
        tell(
          `${kind}: ${signal.key} to ${signal.agent}: ${verdict[kind].join("; ")} ${JSON.stringify({ ...story, ids: [...signal.ids] })}`,
        );
    }
    if (signal.end?.state === "interrupted") count.interrupted += 1;
    if (begunMs.length > 1) count.retried += 1;
  }
  return count;
}

/** The value that so large a share of the sorted ones does not exceed. */
function quantile(sorted: readonly number[], share: number): number {
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
}

/** A daemon that died so long before a signal was sent may still have delayed it, ms. */
const shadowMs = 5_000;

/**
 * From the caller's first try to the agent's begin, the queues on the way included. With what died on the way, and
 * without. Of resident agents: a job's start is found out by looking.
 */
export function handOverFigures(
  signals: readonly Signal[],
  begins: Begins,
  victims: ReadonlyMap<string, { readonly deathsMs: readonly number[] }>,
  agents: ReadonlySet<string>,
): { readonly handOverP50Ms: number; readonly handOverP99Ms: number; readonly handOverUndisturbedP99Ms: number } {
  const all: number[] = [];
  const undisturbed: number[] = [];
  const deaths = (name: string): readonly number[] => victims.get(name)?.deathsMs ?? [];
  const hit = (name: string, fromMs: number, toMs: number): boolean => {
    // The first death that is not too old: they are in order.
    let [low, high] = [0, deaths(name).length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((deaths(name)[middle] ?? 0) < fromMs - shadowMs) low = middle + 1;
      else high = middle;
    }
    return (deaths(name)[low] ?? Number.POSITIVE_INFINITY) <= toMs;
  };
  for (const { agent, ids, askedMs } of signals) {
    const [id = ""] = ids;
    const [begunMs] = begins.of(id);
    if (begunMs === undefined || !agents.has(agent)) continue;
    all.push(begunMs - askedMs);
    if (!hit("sentinel", askedMs, begunMs) && !hit(agent, askedMs, begunMs)) undisturbed.push(begunMs - askedMs);
  }
  for (const list of [all, undisturbed]) list.sort((a, b) => a - b);
  return {
    handOverP50Ms: quantile(all, 0.5),
    handOverP99Ms: quantile(all, 0.99),
    handOverUndisturbedP99Ms: quantile(undisturbed, 0.99),
  };
}
