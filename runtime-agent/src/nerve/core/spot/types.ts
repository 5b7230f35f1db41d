/** What the scheduler of spot jobs is told, and what it answers. Times are ms on one clock; prices are USD/h. */

/** What a job's owner says of it. */
export interface SpotJob {
  /** Compute time that it is expected to need, ms. */
  readonly workMs: number;
  /** When it must be done. */
  readonly deadlineMs: number;
  /** What each start of a machine is expected to lose: boot, image, reading the checkpoint, ms. */
  readonly changeoverMs: number;
  /** Work that an interruption without notice may cost: its interval of checkpoints, ms. */
  readonly atRiskMs: number;
}

/** Where a job is. `warmingMs`: for how long its machine has been starting; undefined once it computes. */
export type Place =
  | { readonly kind: "idle" }
  | { readonly kind: "spot"; readonly zone: string; readonly warmingMs: number | undefined }
  | { readonly kind: "on-demand"; readonly warmingMs: number | undefined };

/** What was seen of a job so far. */
export interface JobState {
  readonly place: Place;
  /** Compute time it has behind it and kept, ms. */
  readonly doneMs: number;
  /** Share of its whole work that is done, as the job itself reported it with `doneMs`; undefined while it has not. */
  readonly reportedShare: number | undefined;
  /** Longest start of a machine of this job until it computed, ms; undefined before the first. */
  readonly longestStartMs: number | undefined;
  /** True once any machine of it was started: from then on each start on spot is a hop. */
  readonly started: boolean;
  /** When its last hops were, oldest first; at least the last two. */
  readonly hopsMs: readonly number[];
}

/** A zone as it is now. */
export interface ZoneNow {
  readonly zone: string;
  readonly available: boolean;
  /** For how long that has been so, ms. */
  readonly sinceMs: number;
  /** Spot price now, USD/h. */
  readonly usdPerHour: number;
}

/** How the scheduler is set. */
export interface SpotPolicy {
  /** Hops that a job may make within any hour (seed `002_…`: 2). */
  readonly hopsPerHour: number;
  /** What `workMs` may be short of until the job has reported its progress, as a share of it. */
  readonly workMargin: number;
  /** How many times longer than it was said a start may take until one was seen. */
  readonly startMargin: number;
  /** Time until the next decision at the latest, ms. */
  readonly lookMs: number;
  /** A running job moves for a price only where it is lower by this share. */
  readonly moveBelow: number;
}

export const defaultSpotPolicy: SpotPolicy = {
  hopsPerHour: 2,
  workMargin: 0.2,
  startMargin: 3,
  lookMs: 30_000,
  moveBelow: 0.1,
};

/**
 * Why a decision is what it is.
 * - `done`: nothing is left to do.
 * - `last-safe-moment`: anything but on demand could miss the deadline.
 * - `too-late`: the deadline cannot be promised any more; what it runs on goes on.
 * - `keep`: it runs on spot, and stays.
 * - `cheaper-zone`: it runs on spot, and another zone is cheaper by more than the move costs.
 * - `cheapest`: of all that is allowed now, this is expected to cost least to the end.
 */
export type Reason = "done" | "last-safe-moment" | "too-late" | "keep" | "cheaper-zone" | "cheapest";

/** Where the job is to be, and why. */
export interface Decision {
  readonly to:
    { readonly kind: "wait" } | { readonly kind: "spot"; readonly zone: string } | { readonly kind: "on-demand" };
  readonly reason: Reason;
  /** Time that may still be lost before on demand must start, ms. Negative where it is late. */
  readonly spareMs: number;
  /** Expected cost to the end of each choice that was weighed, USD; absent where none was. */
  readonly expectedUsd?: { readonly wait?: number; readonly spot?: number; readonly onDemand: number };
  /** True where spot was to be had, but not within the limit of hops. */
  readonly heldByLimit: boolean;
}
