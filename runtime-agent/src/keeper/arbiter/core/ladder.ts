import type { Draft } from "./draft.ts";
import { holdOf } from "./draft.ts";
import type { Goal, Hold } from "./state.ts";
import type { Rung, Service } from "./types.ts";

/** The ladder, gentlest first; a raise goes back through it from the end. */
const ladder: readonly Rung[] = ["application", "checkpoint", "freeze", "stop", "term", "kill"];

/**
 * Rungs in the order to try them for a goal. To pause, the kernel's freezer comes first: it moves nothing and takes
 * milliseconds. To free VRAM, only the application, the driver, and the end of the process do.
 */
const order: Readonly<Record<Goal, readonly Rung[]>> = {
  pause: ["freeze", "stop", "checkpoint", "application", "term", "kill"],
  vram: ["application", "checkpoint", "term", "kill"],
  end: ["term", "kill"],
  kill: ["kill"],
  leave: ["term"],
};

/** Whether a rung can be undone. */
export function isReversible(rung: Rung): boolean {
  return rung !== "term" && rung !== "kill";
}

/** Whether a rung takes the VRAM from the service while it lives on. */
export function freesVram(rung: Rung): boolean {
  return rung === "application" || rung === "checkpoint";
}

/** Rungs tried, with one more, in the order of the ladder. */
export function withRung(tried: readonly Rung[], rung: Rung): Rung[] {
  return ladder.filter((each) => each === rung || tried.includes(each));
}

/**
 * The rung to try next; undefined when all were tried. `gentle` keeps to rungs that can be undone: nobody is ended for
 * a newcomer of its own rank or a lower one. KILL needs no mention in the configuration, and may be tried for ever.
 */
export function nextRung(service: Service, goal: Goal, tried: readonly Rung[], gentle: boolean): Rung | undefined {
  const able = order[goal].filter((rung) => rung === "kill" || service.rungs.includes(rung));
  const next = able.find((rung) => !tried.includes(rung) && !(gentle && !isReversible(rung)));
  if (next !== undefined) return next;
  return !gentle && able.includes("kill") ? "kill" : undefined;
}

/**
 * VRAM that a service holds, as the driver says. Where the driver names no process of a service that should have some,
 * as it does across containers, it holds what its configuration says, but no more than is in use and unaccounted for.
 */
export function residentMiB(draft: Draft, service: Service): number {
  const { gpu } = draft.seen;
  if (gpu.kind !== "known") return 0;
  let sum = 0;
  let all = 0;
  for (const process of gpu.processes) {
    all += process.vramMiB;
    if (process.service === service.name) sum += process.vramMiB;
  }
  if (sum > 0) return sum;
  const hold = holdOf(draft, service.name);
  if (hold === undefined || hold.freed || hold.phase === "starting") return 0;
  return Math.max(0, Math.min(service.vramMiB, gpu.vramUsedMiB - all));
}

/** What must move for a newcomer to fit. */
export interface VramPlan {
  /** Undefined when no move makes enough room. */
  readonly moves: readonly Service[] | undefined;
  readonly needMiB: number;
  readonly freeMiB: number;
  /** Expected time of the moves, ms. */
  readonly estimateMs: number;
}

/**
 * Who must give up VRAM for `newcomer`: nobody when it fits beside those that are there; otherwise the lowest rank
 * first, the largest first inside a rank. Nothing is moved in vain: if all of it were not enough, nothing is.
 */
export function planVram(draft: Draft, newcomer: Service): VramPlan {
  const { gpu } = draft.seen;
  if (gpu.kind !== "known") return { moves: [], needMiB: 0, freeMiB: 0, estimateMs: 0 };
  const freeMiB = Math.max(0, gpu.vramTotalMiB - gpu.vramUsedMiB);
  const needMiB = missingMiB(draft, newcomer);
  if (needMiB <= freeMiB) return { moves: [], needMiB, freeMiB, estimateMs: 0 };
  const movable = draft.config.services
    .map((service) => ({ service, mib: residentMiB(draft, service) }))
    .filter(({ service, mib }) => mib > 0 && service !== newcomer && vramRung(draft, service, newcomer) !== undefined)
    .sort((a, b) => b.service.rank - a.service.rank || b.mib - a.mib);
  const moves: Service[] = [];
  let expected = freeMiB;
  let estimateMs = 0;
  for (const { service, mib } of movable) {
    if (expected >= needMiB) break;
    moves.push(service);
    expected += mib;
    estimateMs += estimateOf(draft, vramRung(draft, service, newcomer), mib);
  }
  const enough = expected >= needMiB;
  return { moves: enough ? moves : undefined, needMiB, freeMiB, estimateMs: enough ? Math.ceil(estimateMs) : 0 };
}

/** VRAM that a newcomer still has to get. One that was only frozen has kept its own. */
function missingMiB(draft: Draft, newcomer: Service): number {
  const hold = holdOf(draft, newcomer.name);
  if (hold !== undefined && !hold.undo.some(freesVram)) return 0;
  return Math.max(0, newcomer.vramMiB - residentMiB(draft, newcomer));
}

/** Whether a service may only be moved by rungs that can be undone. */
export function mustBeGentle(service: Service, newcomer: Service): boolean {
  return service.rank <= newcomer.rank;
}

/** Whether a rung that can be undone may pause it; not for a while after all of them failed. */
export function canRest(draft: Draft, service: Service): boolean {
  return !provedUnmovable(draft, service) && nextRung(service, "pause", [], true) !== undefined;
}

function provedUnmovable(draft: Draft, service: Service): boolean {
  const { unmovableUntilMs } = draft.state;
  const until = Object.hasOwn(unmovableUntilMs, service.name) ? unmovableUntilMs[service.name] : undefined;
  return until !== undefined && until > draft.now;
}

function vramRung(draft: Draft, service: Service, newcomer: Service): Rung | undefined {
  const gentle = mustBeGentle(service, newcomer);
  if (gentle && provedUnmovable(draft, service)) return undefined;
  const hold = holdOf(draft, service.name);
  const tried = hold === undefined ? [] : triedFor(hold, "vram");
  return nextRung(service, "vram", tried, gentle);
}

/** Rungs already tried for a goal: those of another goal do not count. */
export function triedFor(hold: Hold, goal: Goal): readonly Rung[] {
  return hold.goal === goal ? hold.tried : [];
}

function estimateOf(draft: Draft, rung: Rung | undefined, mib: number): number {
  const { ladder: config } = draft.config;
  if (rung === undefined) return 0;
  if (!freesVram(rung)) return config.deadlineMs[rung];
  const given = rung === "application" ? config.ratesMiBPerSec.application : config.ratesMiBPerSec.checkpoint;
  const rate = draft.state.rates[rung] ?? given;
  return rate > 0 ? (mib * 1000) / rate : 0;
}
