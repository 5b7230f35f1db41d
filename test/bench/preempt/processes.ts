/** The process-level part of the preemption benchmark: how long the kernel takes to hold a busy tree. */
import { setTimeout as sleep } from "node:timers/promises";
import { awaitUntil } from "../../../runtime-agent/src/keeper/processes/awaitUntil.ts";
import { isStopped, readStat } from "../../../runtime-agent/src/keeper/processes/pids/stat.ts";
import { brokenChains } from "../../support/burner.ts";
import type { Progress } from "../../support/burner.ts";
import { openStage } from "./stage.ts";
import type { Stage, StageOptions } from "./stage.ts";

const longMs = 30_000;

/** A way to hold the tree of a stage, and to let it go. Each returns when the kernel says that it is so. */
export interface Holder {
  hold(): Promise<void>;
  release(): Promise<void>;
}

export interface HoldFigures {
  /** Each hold, ascending, ms. */
  readonly holdMs: readonly number[];
  /** Each release, ascending, ms. */
  readonly releaseMs: readonly number[];
  /** Rounds in which some process went on working while it was held. */
  readonly movedCount: number;
  /** Workers whose steps were not done exactly once and in order, or that did not go on after the last release. */
  readonly lostCount: number;
}

/** The value that at least this share of the values does not exceed (nearest rank). */
export function percentile(ascending: readonly number[], share: number): number {
  return ascending[Math.max(0, Math.ceil(ascending.length * share) - 1)] ?? Number.NaN;
}

/** Holds and releases the tree again and again, with its work going on between; `watch` is how long it must stand still. */
export async function measureHolder(
  stage: Stage,
  holder: Holder,
  rounds: number,
  watch: (held: readonly Progress[]) => Promise<unknown> = () => sleep(2),
): Promise<HoldFigures> {
  const { burner } = stage;
  const holdMs: number[] = [];
  const releaseMs: number[] = [];
  let movedCount = 0;
  let held = burner.progress();
  for (let round = 0; round < rounds; round += 1) {
    // Between 4 and 13 ms of work, so that holds fall everywhere in the scheduler's slices.
    await sleep(4 + ((round * 7) % 10));
    const asked = performance.now();
    await holder.hold();
    holdMs.push(performance.now() - asked);
    held = burner.progress();
    await watch(held);
    if (JSON.stringify(burner.progress()) !== JSON.stringify(held)) movedCount += 1;
    const released = performance.now();
    await holder.release();
    releaseMs.push(performance.now() - released);
  }
  let stuck = 0;
  await burner.awaitProgress(held, 1, longMs).catch(() => (stuck = 1));
  const ascending = (values: readonly number[]): readonly number[] => values.toSorted((a, b) => a - b);
  return {
    holdMs: ascending(holdMs),
    releaseMs: ascending(releaseMs),
    movedCount,
    lostCount: stuck + brokenChains(burner.progress()).length,
  };
}

/** The cgroup's freezer, `frozen 1` awaited: what the Keeper does. */
export function freezer({ group }: Stage): Holder {
  return { hold: () => group.freeze(longMs), release: () => group.thaw(longMs) };
}

/** What `kill -STOP` of each process of the tree takes, until each is stopped: the floor. */
export function plainStop({ group }: Stage): Holder {
  const pids = group.pids();
  const all =
    (is: (pid: number) => boolean): (() => true | undefined) =>
    () =>
      pids.every(is) ? true : undefined;
  const stopped = (pid: number): boolean => {
    const stat = readStat(pid);
    return stat === undefined || isStopped(stat);
  };
  return {
    hold: async () => {
      for (const pid of pids) process.kill(pid, "SIGSTOP");
      await awaitUntil(all(stopped), longMs, () => "the tree did not stop");
    },
    release: async () => {
      for (const pid of pids) process.kill(pid, "SIGCONT");
      await awaitUntil(
        all((pid) => readStat(pid)?.state !== "T"),
        longMs,
        () => "the tree did not go on",
      );
    },
  };
}

async function measure(
  options: StageOptions,
  rounds: number,
  holderOf: (stage: Stage) => Holder,
): Promise<HoldFigures> {
  const stage = await openStage(options);
  try {
    return await measureHolder(stage, holderOf(stage), rounds);
  } finally {
    await stage.close();
  }
}

/** Freezes a tree `rounds` times through the product's own adapter. */
export function measureFreeze(options: StageOptions, rounds: number): Promise<HoldFigures> {
  return measure(options, rounds, freezer);
}

/** Stops the same kind of tree `rounds` times by plain signals. */
export function measureStopFloor(options: StageOptions, rounds: number): Promise<HoldFigures> {
  return measure(options, rounds, plainStop);
}
