/** Benchmark `sentinel-idle`: what the Sentinel holds in memory while it waits, before and after it has worked. */
import { setTimeout as sleep } from "node:timers/promises";
import { launcherEnvironment, launcherFlags } from "../../../runtime-agent/build/tarball.ts";
import { buildAgent } from "../../support/arbiterDaemon.ts";
import { fakeRunner } from "../../support/fakeRunner.ts";
import { SentinelSite, until } from "../../support/sentinelDaemon.ts";
import { undoOnSignal } from "../cleanup.ts";
import { openMemoryGroup, type MemoryGroup } from "../keeper-soak/usage.ts";
import type { Figures, Limit } from "../statistics.ts";

/** It lives in 1 GB beside its operating system. */
export const limits: Readonly<Record<string, Limit>> = {
  workingSetMiB: { atMost: 80 },
  workingSetAfterWorkMiB: { atMost: 80 },
};

/** Agents that the registry holds, nearly all of them silent. */
const agents = 20;
/** Signals that are handed over before it is looked at again. */
const signals = 1000;
/** What the start, or the work, leaves behind for a moment is not part of it, ms. */
const settleMs = 15_000;
const lookMs = 2_000;

async function highest(memory: MemoryGroup, forMs: number): Promise<number> {
  await sleep(settleMs);
  let most = 0;
  for (const end = performance.now() + forMs; performance.now() < end; await sleep(lookMs))
    most = Math.max(most, memory.workingSetMiB());
  return most;
}

/** @param minutes of rest before and after the work, 1 when absent */
export async function measureIdle(minutes: number | undefined, say: (line: string) => void): Promise<Figures> {
  const forMs = (minutes ?? 1) * 60_000;
  await using cleanup = new AsyncDisposableStack();
  const program = await buildAgent();
  cleanup.defer(() => program.remove());
  const memory = openMemoryGroup();
  cleanup.defer(async () => {
    // The kernel takes a moment to see that the last process is gone.
    await sleep(500);
    memory.close();
  });
  const site = await SentinelSite.open(program, { leases: {}, delivery: {} });
  cleanup.defer(() => site.close());
  cleanup.defer(undoOnSignal(() => void site.close()));
  await site.start("", [...memory.node, ...launcherFlags], launcherEnvironment);
  const keys: string[] = [];
  for (let n = 0; n < agents; n += 1) keys.push(await site.newAgent(`agent-${String(n)}`));
  const workingSetMiB = await highest(memory, forMs);
  say(`at rest, with ${String(agents)} agents: ${workingSetMiB.toFixed(1)} MiB`);

  const runner = await fakeRunner("agent-0", keys[0] ?? "", site.port);
  cleanup.defer(() => runner.kill());
  await runner.up(true);
  for (let n = 0; n < signals; n += 1)
    await site.call("POST", "/agents/agent-0/signals", { key: `k${String(n)}`, payload: { n } });
  await until(() => runner.begun.length === signals, "all signals are with their runner", 600_000);
  say(`${String(signals)} signals were handed over`);
  const workingSetAfterWorkMiB = await highest(memory, forMs);
  say(`at rest again: ${workingSetAfterWorkMiB.toFixed(1)} MiB`);
  return { workingSetMiB, workingSetAfterWorkMiB };
}
