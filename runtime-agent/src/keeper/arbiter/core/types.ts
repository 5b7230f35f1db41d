/**
 * The contract of the arbiter's pure core: what it sees, what it remembers, what it asks for.
 *
 * `decide(state, observation, config)` is total and deterministic: the same journal of observations gives the same
 * decisions. It never reads a clock: `monotonicMs` measures durations, `wallMs` (Unix milliseconds) only the calendar.
 */

import type { ArbiterState } from "./state.ts";

/** Ranks of the seed's matrix (`000_…` §3): 1 is The Banker, 4 The Muse. A lower number wins. */
export type Rank = 1 | 2 | 3 | 4;

/** How a service behaves: an interactive one asks for leases, a scan comes round, a batch fills the night. */
export type ServiceKind = "interactive" | "scan" | "batch";

/** One service that may hold the GPU. The Banker is no such service: it computes on CPU cores (design §5). */
export interface Service {
  readonly name: string;
  readonly rank: Rank;
  readonly kind: ServiceKind;
  /** VRAM it needs when it runs, MiB. */
  readonly vramMiB: number;
  /** Whether an open market forbids it: The Muse and research (seed `000_…` §3, rank 1). */
  readonly forbiddenInMarket: boolean;
  /** Rungs this service can be moved down by; `ladder.ts` says in which order. `kill` is always the last resort. */
  readonly rungs: readonly Rung[];
  /**
   * Milliseconds that one hold may last before it must be renewed. For a scan, which nobody renews, the longest that one
   * scan may take. A batch is held until its window ends.
   */
  readonly leaseMs: number;
  /** Whether the shell knows how to start it: then a request for it starts what does not run, before the grant. */
  readonly startable?: boolean | undefined;
  /** Milliseconds from the start of one scan to the start of the next; only for `kind: "scan"`. */
  readonly everyMs?: number | undefined;
}

/**
 * Rungs of the freeze ladder, gentlest first: the application's own API, the driver's checkpoint (VRAM to RAM), the
 * cgroup freezer, SIGSTOP (only outside a cgroup of ours), TERM, KILL.
 */
export type Rung = "application" | "checkpoint" | "freeze" | "stop" | "term" | "kill";

/** What the driver said of the GPU. `unknown` closes it: nothing is granted and nothing killed. */
export type Gpu =
  | { readonly kind: "absent" }
  | { readonly kind: "unknown"; readonly reason: string }
  | {
      readonly kind: "known";
      /** Number of the sample; two readings of one sample are one reading. */
      readonly sample: number;
      readonly vramTotalMiB: number;
      readonly vramUsedMiB: number;
      readonly temperatureC: number | undefined;
      readonly powerWatts: number | undefined;
      /** Who uses it. `service` is the configured service that the process belongs to; undefined is unknown to us. */
      readonly processes: readonly {
        readonly pid: number;
        readonly vramMiB: number;
        readonly service?: string | undefined;
      }[];
    };

/** What the host side asks of the arbiter, as a lease (design §5). Past its end the strict side holds: market open. */
export interface Constraint {
  readonly marketOpen: boolean;
  /** True while the host side plans to move the card to another VM: no new grants, holders are asked to leave. */
  readonly handoff: boolean;
  /** Heat of the room, °C, when somebody measures it. */
  readonly roomC: number | undefined;
  /** End of the lease on the arbiter's monotonic clock, ms. */
  readonly untilMonotonicMs: number;
}

/** Something that happened since the last call, in the order it happened. */
export type Event =
  | { readonly kind: "request"; readonly id: string; readonly service: string }
  | { readonly kind: "renew"; readonly id: string }
  | { readonly kind: "release"; readonly id: string }
  /** An action ended: `ok`, or why not. Actions are named by `Action.id`. */
  | { readonly kind: "done"; readonly action: string; readonly ok: boolean; readonly reason?: string }
  /** Processes of a service were found gone. */
  | { readonly kind: "exited"; readonly service: string };

export interface Observation {
  readonly monotonicMs: number;
  readonly wallMs: number;
  /** One-minute load average divided by nothing (the seed's "Load Average < 0.5"); undefined when unreadable. */
  readonly load1: number | undefined;
  /**
   * The part of `load1` that the running batch causes itself, when somebody measures it. Without it a running batch is
   * never paused for load, for it would be paused by its own work.
   */
  readonly ownLoad1?: number | undefined;
  readonly gpu: Gpu;
  readonly constraint: Constraint | undefined;
  readonly events: readonly Event[];
}

/** What the shell must do. Every action is idempotent: after a crash it is asked again. */
export type Action = { readonly id: string } & (
  | { readonly kind: "grant"; readonly lease: string; readonly service: string; readonly token: number }
  | { readonly kind: "refuse"; readonly lease: string; readonly reason: string }
  | { readonly kind: "revoke"; readonly lease: string; readonly token: number; readonly reason: string }
  /** `ifAbsent`: nothing is to be done when processes of it are there. Ends with `done` when some are. */
  | { readonly kind: "start"; readonly service: string; readonly token: number; readonly ifAbsent?: boolean }
  /**
   * Ends with `done` only when the driver (rungs that free VRAM) or the kernel (`frozen 1`) says so. A service may be
   * lowered again while it is frozen: to move its VRAM, thaw it, move, freeze it; to end it, signal it and thaw it.
   * Actions of one service are carried out in the order of their ids.
   */
  | { readonly kind: "lower"; readonly service: string; readonly rung: Rung; readonly reason: string }
  /**
   * Undoes the given rungs in reverse order (thaw before restore). They are all that were tried since it last ran, the
   * failed ones too: undoing what was not done is no error.
   */
  | { readonly kind: "raise"; readonly service: string; readonly rungs: readonly Rung[]; readonly token: number }
  | { readonly kind: "power"; readonly mode: "eco" | "full" | "capped" | "restore"; readonly reason: string }
);

/** One line of the journal: what was decided and why. */
export interface Decision {
  readonly what: string;
  readonly service?: string;
  readonly lease?: string;
  readonly token?: number;
  /** How long the decided move is expected to take, ms (a plan that frees VRAM). */
  readonly estimateMs?: number;
  readonly reason: string;
}

/** What one call gives back. Actions are carried out in order, after the state and the decisions are on disk. */
export interface Outcome {
  readonly state: ArbiterState;
  readonly actions: readonly Action[];
  readonly decisions: readonly Decision[];
}
