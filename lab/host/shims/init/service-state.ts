// What a service can be, what can happen to it, and what can be done about it.
import type { ExecKey } from "./settings.ts";

export type Phase =
  | ("dead" | "failed" | "auto-restart")
  | ("start-pre" | "start" | "start-post" | "running" | "exited" | "reload")
  | ("stop" | "stop-watchdog" | "stop-sigterm" | "stop-sigkill" | "stop-post" | "final-sigterm" | "final-sigkill");

export type Result =
  | ("success" | "exit-code" | "signal" | "core-dump" | "timeout" | "watchdog" | "protocol")
  | ("resources" | "start-limit-hit");

/** How a process ended: its status, or the signal that ended it. */
export interface Ending {
  readonly status: number;
  readonly signal?: string;
}

export interface ServiceState {
  readonly phase: Phase;
  readonly result: Result;
  /** Command of the current list that runs, or ran. */
  readonly step: number;
  readonly mainAlive: boolean;
  readonly main: Ending | undefined;
  /** Restarts by Restart= since the last start by hand. */
  readonly restarts: number;
  /** When the last starts were, ms, those within the limit's window. */
  readonly starts: readonly number[];
  /** A stop was asked for: Restart= is not to undo it. */
  readonly stopAsked: boolean;
  /** A start was asked for while it was still stopping. */
  readonly startAfterStop: boolean;
}

export const asleep: ServiceState = {
  ...{ phase: "dead", result: "success", step: 0, mainAlive: false, main: undefined, restarts: 0, starts: [] },
  ...{ stopAsked: false, startAfterStop: false },
};

export type Happening =
  | { readonly kind: "start" | "stop" | "reload" | "reset-failed" | "nothing-left" | "ready" | "watchdog-late" }
  | { readonly kind: "main-ended" | "control-ended"; readonly ending: Ending }
  | { readonly kind: "cannot-start"; readonly result: Result; readonly ending?: Ending }
  | { readonly kind: "time-out"; readonly of: "phase" | "restart" | "runtime" };

export type Doing =
  /** A new life: a new invocation id, its folders made. */
  | { readonly kind: "begin" | "end"; readonly preserveRuntime?: boolean }
  | { readonly kind: "run"; readonly key: ExecKey; readonly step: number; readonly main: boolean }
  /** To all processes of the service, or to the main one and the command that runs beside it. */
  | { readonly kind: "signal"; readonly signal: string; readonly to: "all" | "own" }
  /** Ask to be told `nothing-left` when none of these lives any more. */
  | { readonly kind: "await-nothing"; readonly of: "all" | "own" }
  /** One at a time; undefined: none. */
  | { readonly kind: "phase-timer" | "restart-timer" | "runtime-timer"; readonly ms: number | undefined };

export interface Move {
  readonly state: ServiceState;
  readonly todo: readonly Doing[];
}

const stopping: ReadonlySet<Phase> = new Set<Phase>([
  ...([
    "stop",
    "stop-watchdog",
    "stop-sigterm",
    "stop-sigkill",
    "stop-post",
    "final-sigterm",
    "final-sigkill",
  ] as const),
]);

export function isStopping(phase: Phase): boolean {
  return stopping.has(phase);
}

/** ActiveState= as `systemctl show` tells it. */
export function activeState(phase: Phase): string {
  if (phase === "dead") return "inactive";
  if (phase === "failed") return "failed";
  if (phase === "running" || phase === "exited") return "active";
  if (phase === "reload") return "reloading";
  return isStopping(phase) ? "deactivating" : "activating";
}
