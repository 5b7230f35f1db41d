// Seeded faults of a real arbiter with real processes; after each: nothing left frozen, no grant lost, well within 5 s.
import { seededRandom } from "../../support/seeded.ts";
import type { CampaignOptions, CampaignResult } from "../campaign.ts";
import { Arena } from "./arena.ts";
import { faults } from "./faults.ts";

/** Within this a fault must be over, ms (issue "The Keeper", must be shown 4). */
const recoveredWithinMs = 5_000;

/**
 * Runs the campaign. Each kind of fault has its turn before one comes again. A test on a machine that is busy with
 * others gives more time: there it measures the machine.
 */
export async function runKeeperFaults(options: CampaignOptions, withinMs = recoveredWithinMs): Promise<CampaignResult> {
  const { count, seed, tell } = options;
  const random = seededRandom(seed);
  const figures = { faults: 0, failed: 0, longestRecoveryMs: 0, grants: 0, workLostCount: 0, seconds: 0 };
  const begun = performance.now();
  const arena = await Arena.open();
  let deck: string[] = [];
  try {
    await arena.settle();
    for (let run = 1; run <= count; run += 1) {
      if (deck.length === 0) deck = shuffled(Object.keys(faults), random);
      const name = deck.shift() ?? "";
      const fault = faults[name];
      if (fault === undefined) continue;
      figures.faults += 1;
      let what = name;
      try {
        what = await fault(arena, random);
        figures.longestRecoveryMs = Math.max(figures.longestRecoveryMs, await arena.judge(withinMs));
      } catch (error) {
        figures.failed += 1;
        tell(
          `FAILED ${String(run)} (seed ${String(seed)}), ${what}: ${error instanceof Error ? error.message : String(error)}`,
        );
        await arena.afresh();
      }
      if (run % 25 === 0 || count <= 25) tell(`${String(run)} of ${String(count)}: ${what}`);
    }
    figures.workLostCount = Number(arena.workLost);
    figures.grants = arena.known.asked;
  } finally {
    await arena.close();
  }
  figures.seconds = Math.round((performance.now() - begun) / 1000);
  figures.longestRecoveryMs = Math.round(figures.longestRecoveryMs);
  return { figures, ok: figures.failed === 0 && figures.workLostCount === 0 };
}

function shuffled(names: readonly string[], random: () => number): string[] {
  return names
    .map((name) => ({ name, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ name }) => name);
}
