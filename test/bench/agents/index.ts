/** Benchmark `agents`: lives of throwaway agents on the lab, some of them with something that goes wrong. */
import { median } from "../statistics.ts";
import type { Figures, Limit } from "../statistics.ts";
import { callFaults, engineFaults, liveByCalls, liveByEngine, type Lived } from "./cycle.ts";
import { type Ground, type Say, openGround } from "./ground.ts";
import { judgeCycles } from "./judge.ts";

/** No server is left over, no run is lost or done twice, and a cycle takes little longer than its calls alone. */
export const limits: Readonly<Record<string, Limit>> = {
  orphans: { atMost: 0 },
  lost: { atMost: 0 },
  doubled: { atMost: 0 },
  failed: { atMost: 0 },
  upToResultRatio: { atMost: 1.5 },
};

/** One life in ten is disturbed. */
const disturbedEach = 10;
/** Lives by calls that go on at the same time. */
const lanes = 8;
/** Pairs of lives, by the engine and by calls with the same release, that the ratio is made of, at most. */
const mostPairs = 5;
/** Ids of servers made by calls: the command line takes those from the other end. */
const firstId = 320;
/** Ids that lives by calls take in turn. */
const idsInTurn = 50;

/**
 * @param asked.count Lives in all. @default 10
 * @param asked.runs How many of them are by the engine. @default a fiftieth, one at least
 */
export async function measureAgents(
  asked: { readonly count?: number | undefined; readonly runs?: number | undefined },
  say: Say,
): Promise<Figures> {
  const { count = 10, runs = Math.max(1, Math.round(count / 50)) } = asked;
  const ground = await openGround(say);
  try {
    const before = await ground.guests();
    const lived: Lived[] = [];
    const pairs = await measurePairs(ground, Math.min(runs, mostPairs), lived, say);
    for (let index = pairs.length; index < runs; index += 1) {
      // The first of each ten, so that few lives are enough to see one.
      const fault =
        (index - pairs.length) % disturbedEach === 0
          ? engineFaults[Math.floor(index / disturbedEach) % engineFaults.length]
          : undefined;
      lived.push(
        await liveByEngine(ground, `engine-${String(index)}`, { fault, killMs: 3000 + ((index * 2711) % 9000) }),
      );
      say(`agents: ${String(index + 1)} of ${String(runs)} lives by the engine`);
    }
    const failed = await liveAll(ground, Math.max(0, count - lived.length), lived, say);
    const { lost, doubled, why } = judgeCycles(lived.map(({ seen }) => seen));
    for (const line of why) say(line);
    const left = (await ground.guests()).filter((id) => !before.includes(id));
    const known = await (await ground.sentinel()).agents();
    for (const id of left) say(`server ${String(id)} was left behind`);
    for (const { name } of known) say(`${name} is still registered`);
    const middle = (ms: readonly number[]): number => (ms.length === 0 ? Number.NaN : median(ms) / 1000);
    return {
      ...{ cycles: lived.length, orphans: left.length + known.length, lost, doubled, failed },
      upToResultRatio: pairs.length === 0 ? Number.NaN : median(pairs.map(({ ours, bare }) => ours / bare)),
      upToResultSeconds: middle(pairs.map(({ ours }) => ours)),
      bareUpToResultSeconds: middle(pairs.map(({ bare }) => bare)),
      cyclesByEngine: lived.filter(({ seen }) => seen.by === "engine").length,
      disturbed: lived.filter(({ seen }) => seen.fault !== undefined).length,
    };
  } finally {
    await ground.close();
  }
}

/** The same life both ways, one right after the other, with the whole release and undisturbed. */
async function measurePairs(
  ground: Ground,
  count: number,
  lived: Lived[],
  say: Say,
): Promise<{ ours: number; bare: number }[]> {
  const pairs: { ours: number; bare: number }[] = [];
  for (let index = 0; index < count; index += 1) {
    const bare = await liveByCalls(ground, `bare-${String(index)}`, firstId, { release: ground.whole });
    const ours = await liveByEngine(ground, `pair-${String(index)}`, { killMs: 0 });
    lived.push(bare, ours);
    pairs.push({ ours: ours.toResultMs, bare: bare.toResultMs });
    say(
      `agents: up to the first result ${(ours.toResultMs / 1000).toFixed(1)} s, by bare calls ${(bare.toResultMs / 1000).toFixed(1)} s`,
    );
  }
  return pairs;
}

async function liveAll(ground: Ground, count: number, lived: Lived[], say: Say): Promise<number> {
  let [next, failed] = [0, 0];
  const lane = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      const fault = index % disturbedEach === 0 ? callFaults[(index / disturbedEach) % callFaults.length] : undefined;
      // The lab looks once a second: an id that is free and taken again at once would be the old machine to it.
      const vmId = firstId + (index % idsInTurn);
      try {
        lived.push(await liveByCalls(ground, `life-${String(index)}`, vmId, { release: ground.light, fault }));
      } catch (error) {
        failed += 1;
        say(
          `life-${String(index)} (${fault ?? "no fault"}): ${error instanceof Error ? error.message : String(error)}`,
        );
      }
      if ((index + 1) % 10 === 0) say(`agents: ${String(index + 1)} of ${String(count)} lives by calls`);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return failed;
}
