// Seeded faults of a real arbiter with real processes, and of both sides of the Keeper with a simulated Proxmox; after
// each: nothing left frozen, suspended or locked, no grant lost, the card in one VM, well within 5 s.
import { buildAgent } from "../../support/arbiterDaemon.ts";
import type { AgentProgram } from "../../support/arbiterDaemon.ts";
import { seededRandom } from "../../support/seeded.ts";
import type { CampaignOptions, CampaignResult } from "../campaign.ts";
import { Arena } from "./arena.ts";
import { faults } from "./faults.ts";
import { HostArena } from "./hostArena.ts";
import { hostFaults } from "./hostFaults.ts";
import { judgeHost } from "./hostJudge.ts";
import type { LaneFigures, LaneOptions } from "./lane.ts";
import { runLane } from "./lane.ts";

/** Within this a fault must be over, ms (issue "The Keeper", must be shown 4). */
const recoveredWithinMs = 5_000;

const kinds = [...Object.keys(faults), ...Object.keys(hostFaults)];
/** So many faults hold one of each kind. */
export const keeperFaultKinds = kinds.length;

/**
 * Runs the campaign. Each kind of fault has its turn before one comes again. A test on a machine that is busy with
 * others gives more time: there it measures the machine.
 */
export async function runKeeperFaults(options: CampaignOptions, withinMs = recoveredWithinMs): Promise<CampaignResult> {
  const { count, seed, tell, stop } = options;
  const begun = performance.now();
  const names = drawn(count, seed);
  const lane = (kinds: object): LaneOptions => ({
    names: names.filter((name) => name in kinds),
    withinMs,
    seed,
    tell,
    stop,
  });
  const program = await buildAgent();
  try {
    // They share nothing but the machine, and those of the host side spend their time waiting.
    const [first, second] = await Promise.allSettled([
      runArbiter(program, lane(faults)),
      runHost(program, lane(hostFaults)),
    ]);
    if (first.status === "rejected") throw first.reason;
    if (second.status === "rejected") throw second.reason;
    const { grants, workLostCount, ...ofArbiter } = first.value;
    const { handoffs, handoffsUndone, ...ofHost } = second.value;
    const failed = ofArbiter.failed + ofHost.failed;
    const times = Object.fromEntries(
      Object.keys(hostFaults).map((kind) => [kind, names.filter((name) => name === kind).length]),
    );
    const figures = {
      faults: names.length,
      failed,
      longestRecoveryMs: Math.round(Math.max(ofArbiter.longestRecoveryMs, ofHost.longestRecoveryMs)),
      longestArbiterRecoveryMs: Math.round(ofArbiter.longestRecoveryMs),
      grants,
      workLostCount,
      ...times,
      handoffs,
      handoffsUndone,
      seconds: Math.round((performance.now() - begun) / 1000),
    };
    return { figures, ok: failed === 0 && workLostCount === 0 };
  } finally {
    await program.remove();
  }
}

async function runArbiter(
  program: AgentProgram,
  options: LaneOptions,
): Promise<LaneFigures & { readonly grants: number; readonly workLostCount: number }> {
  const random = seededRandom(options.seed);
  const arena = await Arena.open(program);
  try {
    await arena.settle();
    const figures = await runLane(
      {
        fault: async (name) => (await faults[name]?.(arena, random)) ?? "nothing",
        judge: (withinMs) => arena.judge(withinMs),
        afresh: () => arena.afresh(),
      },
      options,
    );
    return { ...figures, workLostCount: Number(arena.workLost), grants: arena.known.asked };
  } finally {
    await arena.close();
  }
}

async function runHost(
  program: AgentProgram,
  options: LaneOptions,
): Promise<LaneFigures & { readonly handoffs: number; readonly handoffsUndone: number }> {
  if (options.names.length === 0) return { failed: 0, longestRecoveryMs: 0, handoffs: 0, handoffsUndone: 0 };
  const random = seededRandom(options.seed + 1);
  let arena = await HostArena.open(program);
  const ends = { done: 0, undone: 0 };
  try {
    const figures = await runLane(
      {
        async fault(name) {
          await arena.begin();
          return (await hostFaults[name]?.(arena, random)) ?? "nothing";
        },
        async judge(withinMs) {
          const { tookMs, handoff } = await judgeHost(arena, withinMs);
          if (handoff !== undefined) ends[handoff] += 1;
          // The arbiter keeps its promise to a handoff that was undone; the next fault finds a VM that was started anew.
          if (arena.arbiter.up && arena.arbiter.releases > 0) await arena.reboot();
          return tookMs;
        },
        async afresh() {
          await arena.close();
          arena = await HostArena.open(program);
        },
      },
      options,
    );
    return { ...figures, handoffs: ends.done, handoffsUndone: ends.undone };
  } finally {
    await arena.close();
  }
}

/** Which faults come, in their order. */
function drawn(count: number, seed: number): string[] {
  const random = seededRandom(seed);
  const names: string[] = [];
  while (names.length < count) names.push(...shuffled(kinds, random));
  return names.slice(0, count);
}

function shuffled(names: readonly string[], random: () => number): string[] {
  return names
    .map((name) => ({ name, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ name }) => name);
}
