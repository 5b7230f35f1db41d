/** A human's request through the daemon's socket while a batch of busy processes runs: from the request to the grant. */
import { setTimeout as sleep } from "node:timers/promises";
import { launcherEnvironment, launcherFlags } from "../../../runtime-agent/build/tarball.ts";
import { ArbiterSite, buildAgent } from "../../support/arbiterDaemon.ts";
import type { AgentProgram } from "../../support/arbiterDaemon.ts";
import { configureScene, night, openScene } from "../../support/arbiterScene.ts";
import { brokenChains, startBurner } from "../../support/burner.ts";
import { undoOnSignal } from "../cleanup.ts";

const longMs = 60_000;

export interface PreemptFigures {
  /** Request to grant as the client sees it, ascending, ms. */
  readonly grantMs: readonly number[];
  /** Grants after which some process of the batch went on working. */
  readonly movedCount: number;
  /** Workers whose steps were not done exactly once and in order, or that did not go on after the last release. */
  readonly lostCount: number;
}

export interface PreemptOptions {
  /** Busy processes in the batch's tree. */
  readonly processes: number;
  /** Busy processes outside it: the machine's other load. */
  readonly background: number;
  readonly rounds: number;
}

/** Runs the daemon as it ships and preempts the batch `rounds` times. */
export async function measurePreempt(options: PreemptOptions): Promise<PreemptFigures> {
  const program: AgentProgram = await buildAgent();
  const scene = await openScene(options.processes);
  const others = options.background > 0 ? await startBurner(options.background) : undefined;
  const site = await ArbiterSite.open(program);
  const close = async (): Promise<void> => {
    await others?.end();
    await site.close().finally(() => scene.close());
    await program.remove();
  };
  const forget = undoOnSignal(() => void close());
  try {
    await configureScene(site, scene, { root: { log: { level: "warning" } } });
    const daemon = await site.start({
      env: { ...launcherEnvironment, HIVE_LAB_CLOCK: night },
      flags: launcherFlags,
    });
    await daemon.until(({ holder }) => holder?.service === "muse", "the batch runs");
    const grantMs: number[] = [];
    let movedCount = 0;
    let stood = scene.burner.progress();
    for (let round = 0; round < options.rounds; round += 1) {
      // Between 4 and 13 ms of work, so that requests fall everywhere in the scheduler's slices.
      await sleep(4 + ((round * 7) % 10));
      const asked = performance.now();
      const lease = await daemon.ask("eva");
      grantMs.push(performance.now() - asked);
      if (lease.state !== "held") throw new Error(`round ${String(round)}: ${JSON.stringify(lease)}`);
      stood = scene.burner.progress();
      if (!scene.frozen()) movedCount += 1;
      await sleep(2);
      if (JSON.stringify(scene.burner.progress()) !== JSON.stringify(stood)) movedCount += 1;
      await daemon.release(lease.lease);
      await daemon.until(({ holder }) => holder?.service === "muse", "the batch goes on");
    }
    let stuck = 0;
    await scene.burner.awaitProgress(stood, 1, longMs).catch(() => (stuck = 1));
    const lostCount = stuck + brokenChains(scene.burner.progress()).length;
    return { grantMs: grantMs.toSorted((a, b) => a - b), movedCount, lostCount };
  } finally {
    forget();
    await close();
  }
}
