/** What `GET /status` answers: read by `hive-agent status`, the lab page and tests. Absent values are `null`. */
import type { Health } from "../../shared/health.ts";
import type { Hold } from "./core/state.ts";
import type { Decision, Rank, Rung, ServiceKind } from "./core/types.ts";

/** A decision with its number (grows by one, across restarts too) and its time, ISO 8601 in UTC. */
export interface NumberedDecision extends Decision {
  readonly number: number;
  readonly time: string;
}

/** One service as the arbiter and the kernel see it. */
export interface ServiceStatus {
  readonly name: string;
  readonly rank: Rank;
  readonly kind: ServiceKind;
  /** Where it stands with the arbiter; `idle` has, had and gets nothing. */
  readonly phase: Hold["phase"] | "idle";
  /** What the kernel said when it was last looked at; only services that stand somewhere are looked at. */
  readonly kernel: "absent" | "running" | "frozen" | "stopped" | "partly" | "unknown";
  /** Rungs in force. */
  readonly lowered: readonly Rung[];
  readonly why: string | null;
  readonly token: number | null;
  readonly lease: string | null;
  /** VRAM that it needs by its configuration, MiB. */
  readonly vramMiB: number;
}

/** Healthy: a completed turn is young, and the journal can be written. GPU and host side are no part of it. */
export interface ArbiterStatusDocument extends Health {
  readonly version: 1;
  readonly side: "arbiter";
  readonly release: string;
  readonly pid: number;
  /** The agent's own wall clock, ISO 8601. */
  readonly now: string;
  readonly startedAt: string;
  /** Completed decision loops since the start. */
  readonly loops: number;
  /** Who has the GPU; null when nobody has. */
  readonly holder: {
    readonly service: string;
    readonly rank: Rank;
    readonly token: number;
    readonly lease: string | null;
    /** Until the lease must be renewed, ms; null for a batch. */
    readonly remainingMs: number | null;
  } | null;
  /** The last fencing token given out. */
  readonly token: number;
  readonly queue: readonly {
    readonly lease: string;
    readonly service: string;
    readonly rank: Rank | null;
    readonly waitingMs: number;
  }[];
  readonly services: readonly ServiceStatus[];
  readonly gpu: {
    readonly kind: "absent" | "unknown" | "known";
    /** Why it is absent or unknown. */
    readonly reason: string | null;
    readonly name: string | null;
    readonly vramTotalMiB: number | null;
    readonly vramUsedMiB: number | null;
    readonly temperatureC: number | null;
    readonly powerWatts: number | null;
    readonly powerLimitWatts: number | null;
    readonly graphicsClockMHz: number | null;
    readonly utilizationPercent: number | null;
  };
  readonly power: "eco" | "full" | "capped" | "restore" | null;
  readonly thermal: { readonly capped: boolean; readonly paused: boolean };
  readonly load1: number | null;
  readonly marketOpen: boolean;
  /** Whether it is The Muse's night. */
  readonly museNight: boolean;
  /** The host side's word that is in force; null without a link, or when its lease has ended. */
  readonly constraint: {
    readonly marketOpen: boolean;
    readonly handoff: boolean;
    readonly roomC: number | null;
    readonly remainingMs: number;
  } | null;
  /** Whether the host side can reach this one, and why not, such as another key; null without a link. */
  readonly link: { readonly listening: boolean; readonly fault: string | null } | null;
  /** Why nothing can be granted because nothing can be written; null when the journal is well. */
  readonly journalFault: string | null;
  /** The youngest ones, oldest first. */
  readonly decisions: readonly NumberedDecision[];
}
