import type { Rank, Rung, Service } from "./types.ts";

/** Opening hours of the market, minutes after local midnight, on the days (0 Sunday to 6 Saturday) it opens. */
export interface MarketHours {
  readonly openMinute: number;
  readonly closeMinute: number;
  readonly days: readonly number[];
  /** Local dates, `2026-12-25`, on which it does not open. */
  readonly holidays: readonly string[];
}

/** Calendar of one site: all times are local times of `timeZone` (IANA name). */
export interface CalendarConfig {
  readonly timeZone: string;
  /** Undefined where no market matters: it is then never open. */
  readonly market: MarketHours | undefined;
  /** The night of the batches; it crosses midnight when `toMinute` is not after `fromMinute`. */
  readonly muse: { readonly fromMinute: number; readonly toMinute: number };
}

/** Everything the arbiter's core is told. Plain data; `arbiterConfig` fills in what is not given. */
export interface ArbiterConfig {
  readonly services: readonly Service[];
  readonly calendar: CalendarConfig;
  /** Whether a host side sends constraints. Without one the arbiter goes by its own calendar alone. */
  readonly linked: boolean;
  readonly load: LoadConfig;
  readonly thermal: ThermalConfig;
  readonly power: PowerConfig;
  readonly ladder: LadderConfig;
  readonly queue: QueueConfig;
}

export interface LoadConfig {
  /** A batch starts only below this load average (seed `000_…` §3: 0.5). */
  readonly startBelow: number;
  /** A running batch is paused when the load of others is above this. */
  readonly pauseAbove: number;
  /** How long the load must have been below `startBelow` before a batch starts, ms. */
  readonly holdMs: number;
}

export interface ThermalConfig {
  /** Power is capped from here, °C. */
  readonly capC: number;
  /** Rank 4 is paused from here, °C. */
  readonly pauseC: number;
  /** Above this, °C, the lowest rank is killed (seed `001_…` phase 0: 80). */
  readonly limitC: number;
  /** Fresh samples in a row above `limitC` before anything is killed. */
  readonly samples: number;
  /** Samples closer together than this, ms, count as one: the card is also read when VRAM was freed. */
  readonly sampleGapMs: number;
  /** A cap or a pause ends this many °C below where it began. */
  readonly hysteresisC: number;
  /** A sensor that gave no new sample for this long, ms, is stale. */
  readonly staleMs: number;
  /** Ranks from this one on may be killed for heat: the seed kills "non-priority" processes, and a person is none. */
  readonly killFromRank: Rank;
  /** Power is capped while the room is at least this warm, °C. */
  readonly roomCapC: number;
}

export interface PowerConfig {
  /** How long the card must be idle before it goes to eco, ms. */
  readonly idleMs: number;
  /** How long after a failed change it is tried again, ms. */
  readonly retryMs: number;
}

export interface LadderConfig {
  /** How long a rung may take before the next one is tried, ms. */
  readonly deadlineMs: Readonly<Record<Rung, number>>;
  /** How long a raise or a start may take, ms. */
  readonly raiseMs: number;
  readonly startMs: number;
  /** Raises in a row that may fail before the service is ended rather than left frozen. */
  readonly raiseTries: number;
  /** How long a service whose VRAM no rung could move is left alone, ms. */
  readonly moveAgainMs: number;
  /** How fast a rung frees VRAM before any was measured, MiB per second. */
  readonly ratesMiBPerSec: { readonly application: number; readonly checkpoint: number };
}

export interface QueueConfig {
  /** Requests that may wait at once; more are refused. */
  readonly longest: number;
  /** How long one hold may run, ms, once somebody of the same rank waits: the bound on starvation inside a rank. */
  readonly turnMs: number;
  /** How long after its end a batch may start again, ms. */
  readonly restartMs: number;
}

const defaults: Omit<ArbiterConfig, "services"> = {
  calendar: {
    timeZone: "Europe/Paris",
    market: { openMinute: 8 * 60, closeMinute: 23 * 60, days: [1, 2, 3, 4, 5], holidays: [] },
    muse: { fromMinute: 23 * 60, toMinute: 7 * 60 },
  },
  linked: false,
  load: { startBelow: 0.5, pauseAbove: 4, holdMs: 60_000 },
  thermal: {
    capC: 72,
    pauseC: 76,
    limitC: 80,
    samples: 2,
    sampleGapMs: 500,
    hysteresisC: 5,
    staleMs: 5_000,
    killFromRank: 3,
    roomCapC: 35,
  },
  power: { idleMs: 60_000, retryMs: 30_000 },
  ladder: {
    // Ollama's own unload is seen within 1.5 s and gives up at 5 s; a checkpoint of 24 GB took 3 to 15 s elsewhere.
    deadlineMs: { application: 6_000, checkpoint: 30_000, freeze: 500, stop: 500, term: 10_000, kill: 5_000 },
    raiseMs: 60_000,
    startMs: 60_000,
    raiseTries: 3,
    moveAgainMs: 60_000,
    ratesMiBPerSec: { application: 8_192, checkpoint: 4_096 },
  },
  queue: { longest: 64, turnMs: 600_000, restartMs: 900_000 },
};

/** Each section in full, or the parts of it that differ from the default. */
export type ArbiterOverrides = {
  readonly [K in Exclude<keyof ArbiterConfig, "services" | "linked">]?: Partial<ArbiterConfig[K]> | undefined;
} & { readonly services: readonly Service[]; readonly linked?: boolean | undefined };

/** The configuration with every default filled in. */
export function arbiterConfig(given: ArbiterOverrides): ArbiterConfig {
  return {
    services: given.services,
    linked: given.linked ?? defaults.linked,
    calendar: { ...defaults.calendar, ...given.calendar },
    load: { ...defaults.load, ...given.load },
    thermal: { ...defaults.thermal, ...given.thermal },
    power: { ...defaults.power, ...given.power },
    ladder: { ...defaults.ladder, ...given.ladder },
    queue: { ...defaults.queue, ...given.queue },
  };
}
