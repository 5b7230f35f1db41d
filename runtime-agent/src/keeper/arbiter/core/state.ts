import type { Rung } from "./types.ts";

/** Where a service stands that has, had or gets the GPU. All but `lowered` keep everybody else out: the mutex. */
export type Phase = "starting" | "running" | "lowering" | "lowered" | "raising";

/**
 * What a lowering is for: to pause it; to free its VRAM; to end it; to end it at once (heat); to ask it to leave
 * (handoff).
 */
export type Goal = "pause" | "vram" | "end" | "kill" | "leave";

/** An action in flight for a hold. */
export interface Step {
  /** Id of the action. */
  readonly action: string;
  readonly kind: "start" | "lower" | "raise";
  readonly rung: Rung | null;
  readonly goal: Goal | null;
  /** Whether only rungs that can be undone may follow. */
  readonly gentle: boolean;
  readonly sinceMs: number;
  readonly deadlineMs: number;
}

/** A service's hold of the GPU, running or lowered. Absent fields are `null`, so that JSON keeps them. */
export interface Hold {
  phase: Phase;
  /** Place in the order of arrival; the lower one of two of a rank goes first. */
  seq: number;
  /** The lease of the client that asked for it; null when the arbiter started it, or when the client is gone. */
  lease: string | null;
  token: number;
  /** Whether `lease` was told that it holds. */
  granted: boolean;
  /** Whether it resumes for its own sake; false for a resident that was only moved out of the way. */
  wants: boolean;
  /** End of the lease, or of the time a scan may take; null for a batch. Stands still while lowered. */
  untilMs: number | null;
  /** Running since; and the time run before that, ms. */
  sinceMs: number;
  usedMs: number;
  /** What `usedMs` was when its present turn in its rank began. */
  turnFromMs: number;
  /** Rungs tried since it last ran, gentlest first: what a raise has to undo. */
  undo: Rung[];
  /** What it was last lowered for. */
  goal: Goal | null;
  /** Rungs already tried for that goal. */
  tried: Rung[];
  /** Whether the kernel or the driver has confirmed that it rests, and nothing raised it since. */
  rests: boolean;
  /** Whether its VRAM was freed by a rung. */
  freed: boolean;
  /** Why it is lowered. */
  why: string | null;
  step: Step | null;
  /** The start of its processes, until it is known to have worked; it may outlive a lowering. */
  startAction: string | null;
  /** Raises that failed in a row. */
  failures: number;
}

/** A request that waits. */
export interface Waiting {
  readonly lease: string;
  readonly service: string;
  readonly seq: number;
  readonly sinceMs: number;
}

/** Everything the arbiter remembers. Plain JSON: it is journaled, and read back at start. */
export interface ArbiterState {
  readonly version: 1;
  /** The latest monotonic time seen, ms. */
  readonly nowMs: number;
  /** Numbers given out so far: actions, order of arrival, fencing tokens. They only grow, across restarts too. */
  readonly actions: number;
  readonly arrivals: number;
  readonly token: number;
  readonly queue: readonly Waiting[];
  /** By name of the service; a service without one is idle. */
  readonly holds: Readonly<Record<string, Readonly<Hold>>>;
  /** Place in the order of arrival of scans and batches that are due and wait, by name. */
  readonly dueSeq: Readonly<Record<string, number>>;
  /** When each scan or batch may start next, ms (monotonic), by name. */
  readonly startAtMs: Readonly<Record<string, number>>;
  readonly thermal: {
    readonly sample: number | null;
    readonly sampleAtMs: number;
    readonly hotSamples: number;
    readonly countedAtMs: number;
    readonly capped: boolean;
    readonly paused: boolean;
  };
  /** Since when the load is low enough for a batch; null while it is not. */
  readonly loadLowSinceMs: number | null;
  readonly power: {
    /** What was last asked for. */
    readonly mode: "eco" | "full" | "capped" | "restore" | null;
    readonly action: string | null;
    readonly retryAtMs: number | null;
    readonly idleSinceMs: number | null;
  };
  /** After VRAM was freed: the sample to be overtaken before free VRAM is believed again. */
  readonly settle: { readonly sample: number } | null;
  /** Until when, ms, no gentle rung is tried again on a service that none could move or pause, by name. */
  readonly unmovableUntilMs: Readonly<Record<string, number>>;
  /** Measured rates of freeing VRAM, MiB per second. */
  readonly rates: Readonly<Record<string, number>>;
  /** What was last reported, so that each change is told once. */
  readonly told: Readonly<Record<string, string>>;
  readonly unknownPids: readonly number[];
}

/** The state of an arbiter that has seen nothing yet. */
export function initialState(): ArbiterState {
  return {
    version: 1,
    nowMs: 0,
    actions: 0,
    arrivals: 0,
    token: 0,
    queue: [],
    holds: {},
    dueSeq: {},
    startAtMs: {},
    thermal: { sample: null, sampleAtMs: 0, hotSamples: 0, countedAtMs: -1_000_000, capped: false, paused: false },
    loadLowSinceMs: null,
    power: { mode: null, action: null, retryAtMs: null, idleSinceMs: null },
    settle: null,
    unmovableUntilMs: {},
    rates: {},
    told: {},
    unknownPids: [],
  };
}
