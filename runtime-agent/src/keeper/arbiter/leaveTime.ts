/** How long leaving may take: by what was moved, for a service that is given up too early stays without its VRAM. Pure. */
import type { ArbiterState, Hold } from "./core/state.ts";
import { freesVram } from "./core/ladder.ts";

/** Bound of one step that the kernel takes, ms. */
export const kernelStepMs = 4_000;
/**
 * Slowest rate at which VRAM comes back, MiB per second. A checkpoint of 24 GB took 3 to 15 s elsewhere, which is 1,600
 * MiB/s at the slowest; a third of that is kept in reserve.
 */
const slowestMiBPerSec = 1_024;
/** Taken for a service whose VRAM no configuration tells any more, MiB. */
const unknownMiB = 24 * 1024;
/** Shortest wait for what is under way, ms. */
const shortestSettleMs = 2_000;

export interface Moves {
  /** VRAM of a service by its configuration, MiB. */
  readonly vramMiBOf: (service: string) => number | undefined;
  /** Whether the driver moved VRAM of a service, and did not move it back. */
  readonly isCheckpointed: (service: string) => boolean;
}

/** Time in which the VRAM of these services is back, ms: they share one bus, so that each may have to wait for all. */
function backMs(names: readonly string[], { vramMiBOf }: Moves): number {
  const mib = names.reduce((sum, name) => sum + (vramMiBOf(name) ?? unknownMiB), 0);
  return Math.ceil((mib * 1000) / slowestMiBPerSec);
}

function hasMoved(hold: Readonly<Hold> | undefined): boolean {
  return hold?.undo.some(freesVram) === true;
}

/** How long the VRAM of all that was moved takes to come back, ms; `names` are those that are to be set free. */
export function returnMs(names: readonly string[], state: ArbiterState, moves: Moves): number {
  const moved = names.filter((name) => hasMoved(state.holds[name]) || moves.isCheckpointed(name));
  return backMs(moved, moves);
}

/**
 * How long what is under way may take to end, ms. A move that is cut in its middle loses the process: it is waited for
 * as long as the same amount takes to come back.
 */
export function settleMs(state: ArbiterState, moves: Moves): number {
  const moving = Object.entries(state.holds).flatMap(([name, hold]) => {
    const { step } = hold;
    const rung = step?.rung ?? null;
    const isMoving = step?.kind === "raise" ? hasMoved(hold) : rung !== null && freesVram(rung);
    return isMoving ? [name] : [];
  });
  return shortestSettleMs + backMs(moving, moves);
}
