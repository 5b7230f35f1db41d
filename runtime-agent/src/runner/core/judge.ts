/** What systemd's word about the unit means for the run that was started by it. Pure. */
import type { RunReport } from "../../../../components/shared/signals/protocol.ts";
import type { Run } from "./state.ts";

/** What `systemctl show` says of the unit. */
export interface UnitSeen {
  /** Of this start, by systemd itself or by its Restart=; empty for a unit that systemd has forgotten. */
  readonly invocation: string;
  /** ActiveState: `active`, `activating` (also while it waits for its restart), `inactive`, `failed`, … */
  readonly active: string;
  /** Result: `success`, `exit-code`, `signal`, `oom-kill`, `start-limit-hit`, … */
  readonly result: string;
  /** Exit status or signal of the main process; null before its end, and when systemd has forgotten. */
  readonly exit: number | string | null;
  /** NRestarts: restarts by Restart= since the start, the one that the start limit refused among them. */
  readonly restarts: number;
  /** StartLimitBurst: starts that the limit allows; 0: any number. */
  readonly burst: number;
  /** Whether systemd must remember the unit: another loaded unit names it. Else it forgets one that ended well. */
  readonly kept: boolean;
  /** Whether systemd knows the unit file. */
  readonly loaded: boolean;
  /** Whether a job for it waits in systemd's queue, or is under way: a start may yet be made. */
  readonly pending: boolean;
}

/** The unit does nothing, and will do nothing by itself. */
export function isOver(unit: UnitSeen): boolean {
  if (unit.pending) return false;
  return unit.active === "inactive" || unit.active === "failed";
}

/**
 * Whether the start limit stopped the agent. Result seldom says it: systemd keeps the word of the last failure (252, seen
 * as `exit-code` with 5 restarts), and only its journal has "Start request repeated too quickly". But without that many
 * restarts it was not the limit: whoever stops a unit may leave it failed too.
 */
export function inCrashLoop(unit: UnitSeen): boolean {
  if (unit.active !== "failed") return false;
  return unit.result === "start-limit-hit" || (unit.burst > 0 && unit.restarts >= unit.burst);
}

/** Starts of the agent that were made. */
export function startsOf(unit: UnitSeen): number {
  return Math.max(1, unit.restarts + (inCrashLoop(unit) ? 0 : 1));
}

export type Judgement =
  | { readonly kind: "running" }
  /** The start was never made: making it now starts nothing twice. */
  | { readonly kind: "not begun" }
  | { readonly kind: "interrupted"; readonly reason: string; readonly exit: RunReport["exit"] }
  | { readonly kind: "completed"; readonly exit: RunReport["exit"] }
  | { readonly kind: "failed"; readonly reason: string; readonly exit: RunReport["exit"] }
  /** It ended, and nobody knows any more how: a result that is there says that it ended well. */
  | { readonly kind: "forgotten"; readonly reason: string };

const forgotten: Judgement = { kind: "forgotten", reason: "systemd has forgotten how the agent ended" };

/**
 * What the kernel's count adds to a reason. systemd tells of it only when it is to act on it: with OOMPolicy=continue an
 * agent that was killed for memory was ended by a signal, like by any other SIGKILL.
 */
function forMemory(oomKills: number): string {
  return oomKills === 0 ? "" : `; out of memory, ${String(oomKills)} ${oomKills === 1 ? "kill" : "kills"}`;
}

/**
 * How the current run of a job agent stands.
 * @param boot of the kernel, now
 * @param oomKills in this run
 */
export function judge(unit: UnitSeen, run: Run, boot: string, oomKills: number): Judgement {
  const { start } = run;
  if (start === null) return { kind: "not begun" };
  if (start.boot !== boot) return { kind: "forgotten", reason: "the server was started anew" };
  if (!isOver(unit)) return { kind: "running" };
  if (unit.invocation === start.before) {
    if (unit.invocation !== "" || unit.kept) return { kind: "not begun" };
    return forgotten;
  }
  if (unit.invocation === "") return forgotten;
  const { result, exit } = unit;
  const why = `(${result})${forMemory(oomKills)}`;
  if (inCrashLoop(unit)) return { kind: "failed", reason: `a crash loop, ended by the start limit ${why}`, exit };
  if (result === "success" && exit === 0) return { kind: "completed", exit };
  if (typeof exit === "number" && exit !== 0) {
    return { kind: "failed", reason: `the agent exited with ${String(exit)} ${why}`, exit };
  }
  // An exit of 0 is the answer to a stop (Result is `timeout` when RuntimeMaxSec= asked for it).
  const how = typeof exit === "string" ? ` by ${exit}` : "";
  return { kind: "interrupted", reason: `the agent was ended${how} ${why}`, exit };
}
