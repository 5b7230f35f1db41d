/**
 * Seeded fuzz of the runner's signal endpoint: the pure judgement in bulk, and a share over the socket of a real runner.
 * Nothing may be accepted that was not signed, nothing may change by a refusal, and memory may not grow.
 */
import { Worker } from "node:worker_threads";
import * as z from "zod";
import { buildAgent } from "../../support/arbiterDaemon.ts";
import type { CampaignOptions, CampaignResult } from "../campaign.ts";
import { openFuzzedRunner, residentMiB } from "./fuzzRunner.ts";

/** Of so many requests one goes through the socket. */
const socketShare = 200;
/** Heap of the thread that judges the bulk, MiB: as the launcher of the release gives a runner. */
const resourceLimits = { maxOldGenerationSizeMb: 48, maxYoungGenerationSizeMb: 2 };
/** Memory may grow by so much, MiB. */
const mostGrowthMiB = 50;
const tellEvery = 100_000;

/** Requests after which a process is warm: what it has taken by then is its own. */
const warmRequests = 50_000;
const warmBySocket = 500;

/** What memory did since it was warm. */
class Memory {
  #base = 0;
  #peak = 0;

  note(mib: number, warm: boolean): void {
    this.#peak = Math.max(this.#peak, mib);
    if (!warm) this.#base = this.#peak;
  }

  get growthMiB(): number {
    return Math.round((this.#peak - this.#base) * 10) / 10;
  }
}

const progress = z.object({ judged: z.number(), answers: z.map(z.number(), z.number()) });

/** Judges on a thread of its own; rejects with what it throws. */
async function inBulkBy(
  work: { readonly seed: number; readonly count: number },
  stop: AbortSignal | undefined,
  on: (state: z.output<typeof progress>) => Promise<void>,
): Promise<void> {
  const worker = new Worker(new URL("./fuzzWorker.ts", import.meta.url), { workerData: work, resourceLimits });
  const end = (): void => void worker.terminate();
  stop?.addEventListener("abort", end, { once: true });
  let noted = Promise.resolve();
  try {
    await new Promise<void>((resolve, reject) => {
      worker.on("message", (message) => (noted = noted.then(() => on(progress.parse(message))).catch(reject)));
      worker.once("error", reject);
      worker.once("exit", () => resolve());
      if (stop?.aborted === true) end();
    });
    await noted;
  } finally {
    stop?.removeEventListener("abort", end);
    await worker.terminate();
  }
}

export async function runSignalFuzz({ count, seed, tell, stop }: CampaignOptions): Promise<CampaignResult> {
  const begun = performance.now();
  const bySocket = Math.max(50, Math.ceil(count / socketShare));
  const inBulk = Math.max(1, count - bySocket);
  const [ours, its] = [new Memory(), new Memory()];
  let [judged, sent] = [0, 0];

  const program = await buildAgent();
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => program.remove());
  const runner = await openFuzzedRunner(program, seed);
  cleanup.defer(() => runner.close());

  let faults = 0;
  let answers: ReadonlyMap<number, number> = new Map();
  try {
    const step = Math.max(10, Math.ceil(bySocket / 50));
    while (sent < bySocket && stop?.aborted !== true) {
      sent += await runner.attack(Math.min(step, bySocket - sent), stop);
      await runner.check();
      its.note(await residentMiB(runner.pid), sent > warmBySocket);
    }
    tell(`${String(sent)} by the socket; now the others`);
    await inBulkBy({ seed, count: inBulk }, stop, async (state) => {
      if (Math.floor(state.judged / tellEvery) > Math.floor(judged / tellEvery))
        tell(`${String(state.judged)} of ${String(inBulk)}`);
      ({ judged, answers } = state);
      ours.note(await residentMiB(process.pid), judged > warmRequests);
    });
  } catch (error) {
    faults += 1;
    tell(`FAILED (seed ${String(seed)}): ${error instanceof Error ? error.message : String(error)}`);
  }
  const figures = {
    requests: judged + sent,
    bySocket: sent,
    accepted: faults,
    ...Object.fromEntries([...answers].toSorted().map(([status, times]) => [`status${String(status)}`, times])),
    growthMiB: ours.growthMiB,
    runnerGrowthMiB: its.growthMiB,
    seconds: Math.round((performance.now() - begun) / 1000),
  };
  const ok = faults === 0 && ours.growthMiB < mostGrowthMiB && its.growthMiB < mostGrowthMiB;
  return { figures, ok };
}
