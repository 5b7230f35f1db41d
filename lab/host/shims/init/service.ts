/**
 * How a service lives: a pure machine after systemd.service(5) and systemd's own states (src/core/service.c of 252). It
 * is told what happened and says what is to be done; whoever carries that out tells it what came of it.
 */
import { restartsAfter, resultOf } from "./service-endings.ts";
import { isStopping } from "./service-state.ts";
import type { Doing, Ending, Happening, Move, Phase, Result, ServiceState } from "./service-state.ts";
import type { ExecKey, ServiceSettings } from "./settings.ts";

/** What follows of one happening. Times are given by whoever asks, so that this stays pure. */
export function next(state: ServiceState, happening: Happening, settings: ServiceSettings, nowMs: number): Move {
  switch (happening.kind) {
    case "start":
      if (isStopping(state.phase)) return { state: { ...state, startAfterStop: true }, todo: [] };
      return isAtRest(state) ? begin({ ...state, restarts: 0 }, settings, nowMs) : unmoved(state);
    case "stop":
      return stop(state, settings);
    case "reset-failed": {
      const phase = state.phase === "failed" ? "dead" : state.phase;
      return unmoved({ ...state, phase, starts: [], restarts: 0, ...(phase === "dead" ? { result: "success" } : {}) });
    }
    case "reload":
      if (state.phase !== "running" || settings.exec.ExecReload.length === 0) return unmoved(state);
      return runList({ ...state, phase: "reload" }, "ExecReload", 0, settings, [phaseTimer(settings.timeoutStartMs)]);
    case "ready":
      return state.phase === "start" && settings.type === "notify" ? started(state, settings) : unmoved(state);
    case "cannot-start":
      return cannotStart(state, happening.result, happening.ending, settings);
    case "main-ended":
      return mainEnded(state, happening.ending, settings);
    case "control-ended":
      return controlEnded(state, happening.ending, settings);
    case "nothing-left":
      return nothingLeft(state, settings);
    case "watchdog-late": {
      if (!["start-post", "running", "reload"].includes(state.phase)) return unmoved(state);
      const todo: Doing[] = [
        { kind: "signal", signal: settings.watchdogSignal, to: "own" },
        phaseTimer(settings.timeoutStopMs),
        { kind: "runtime-timer", ms: undefined },
        { kind: "await-nothing", of: "own" },
      ];
      return { state: worse({ ...state, phase: "stop-watchdog" }, "watchdog"), todo };
    }
    case "time-out":
      return timeOut(state, happening.of, settings, nowMs);
  }
}

function unmoved(state: ServiceState): Move {
  return { state, todo: [] };
}

function isAtRest(state: ServiceState): boolean {
  return state.phase === "dead" || state.phase === "failed" || state.phase === "auto-restart";
}

function phaseTimer(ms: number | undefined): Doing {
  return { kind: "phase-timer", ms: ms === Infinity ? undefined : ms };
}

/** The first thing that went wrong is what is told. */
function worse(state: ServiceState, result: Result): ServiceState {
  return state.result === "success" ? { ...state, result } : state;
}

function begin(state: ServiceState, settings: ServiceSettings, nowMs: number): Move {
  const { intervalMs, burst } = settings.startLimit;
  const limited = intervalMs > 0 && burst > 0;
  const starts = limited ? state.starts.filter((at) => nowMs - at < intervalMs) : [];
  const noTimer: Doing = { kind: "restart-timer", ms: undefined };
  if (limited && starts.length >= burst)
    return { state: { ...state, phase: "failed", result: "start-limit-hit", starts }, todo: [noTimer] };
  const fresh: ServiceState = {
    ...{ ...state, starts: [...starts, nowMs], phase: "start-pre", result: "success", step: 0, main: undefined },
    ...{ mainAlive: false, stopAsked: false, startAfterStop: false },
  };
  return runList(fresh, "ExecStartPre", 0, settings, [noTimer, { kind: "begin" }, phaseTimer(settings.timeoutStartMs)]);
}

/** Runs command `step` of a list, or goes on behind the list when there is none. */
function runList(
  state: ServiceState,
  key: ExecKey,
  step: number,
  settings: ServiceSettings,
  todo: readonly Doing[],
): Move {
  if (step < settings.exec[key].length) {
    const main = key === "ExecStart";
    const move: Doing = { kind: "run", key, step, main };
    return { state: { ...state, step, mainAlive: main || state.mainAlive }, todo: [...todo, move] };
  }
  const then = listDone(state, key, settings);
  return { state: then.state, todo: [...todo, ...then.todo] };
}

function listDone(state: ServiceState, key: ExecKey, settings: ServiceSettings): Move {
  switch (key) {
    case "ExecStartPre":
      return startMain({ ...state, phase: "start" }, settings);
    case "ExecStart": // a oneshot's last command has ended
      return runList({ ...state, phase: "start-post" }, "ExecStartPost", 0, settings, []);
    case "ExecStartPost":
      return enterRunning(state, settings);
    case "ExecReload":
      return enterRunning(state, settings);
    case "ExecStop":
      return killPhase({ ...state, phase: "stop-sigterm" }, settings);
    case "ExecStopPost":
      return killPhase({ ...state, phase: "final-sigterm" }, settings);
  }
}

function startMain(state: ServiceState, settings: ServiceSettings): Move {
  const run = runList(state, "ExecStart", 0, settings, []);
  if (settings.type === "notify" || settings.type === "oneshot") return run;
  const then = started(run.state, settings);
  return { state: then.state, todo: [...run.todo, ...then.todo] };
}

/** The service counts as started: what follows the start, then it runs. */
function started(state: ServiceState, settings: ServiceSettings): Move {
  return runList({ ...state, phase: "start-post" }, "ExecStartPost", 0, settings, []);
}

function enterRunning(state: ServiceState, settings: ServiceSettings): Move {
  if (state.mainAlive) {
    const runtime: Doing[] =
      state.phase === "reload" || settings.runtimeMaxMs === Infinity
        ? []
        : [{ kind: "runtime-timer", ms: settings.runtimeMaxMs }];
    return { state: { ...state, phase: "running" }, todo: [phaseTimer(undefined), ...runtime] };
  }
  if (state.result === "success" && settings.remainAfterExit)
    return { state: { ...state, phase: "exited" }, todo: [phaseTimer(undefined)] };
  return enterStop(state, settings);
}

function stop(state: ServiceState, settings: ServiceSettings): Move {
  const asked: ServiceState = { ...state, stopAsked: true, startAfterStop: false };
  switch (state.phase) {
    case "dead":
    case "failed":
      return unmoved(state);
    case "auto-restart":
      return { state: { ...asked, phase: "dead" }, todo: [{ kind: "restart-timer", ms: undefined }, { kind: "end" }] };
    case "running":
    case "exited":
      return enterStop(asked, settings);
    case "start-pre":
    case "start":
    case "start-post":
    case "reload":
      return killPhase({ ...asked, phase: "stop-sigterm" }, settings);
    default:
      return unmoved(asked);
  }
}

/** ExecStop= runs for a service that had started, however it ends. */
function enterStop(state: ServiceState, settings: ServiceSettings): Move {
  return runList({ ...state, phase: "stop" }, "ExecStop", 0, settings, [
    { kind: "runtime-timer", ms: undefined },
    phaseTimer(settings.timeoutStopMs),
  ]);
}

function killPhase(state: ServiceState, settings: ServiceSettings): Move {
  const hard = state.phase.endsWith("sigkill");
  const signal = hard ? "SIGKILL" : settings.killSignal;
  // `mixed` leaves the others alone until the end, when they get SIGKILL without having been asked.
  const all = settings.killMode === "control-group" || (hard && settings.killMode === "mixed");
  const to = all ? "all" : "own";
  return {
    state,
    todo: [
      { kind: "runtime-timer", ms: undefined },
      ...(settings.killMode === "none" ? [] : [{ kind: "signal", signal, to } as const]),
      phaseTimer(settings.timeoutStopMs),
      { kind: "await-nothing", of: to },
    ],
  };
}

function nothingLeft(state: ServiceState, settings: ServiceSettings): Move {
  switch (state.phase) {
    case "stop-watchdog":
    case "stop-sigterm":
    case "stop-sigkill":
      return runList({ ...state, phase: "stop-post", mainAlive: false }, "ExecStopPost", 0, settings, [
        phaseTimer(settings.timeoutStopMs),
      ]);
    case "final-sigterm":
      if (settings.killMode === "mixed") return killPhase({ ...state, phase: "final-sigkill" }, settings);
      return enterDead(state, settings);
    case "final-sigkill":
      return enterDead(state, settings);
    default:
      return unmoved(state);
  }
}

function enterDead(state: ServiceState, settings: ServiceSettings): Move {
  const again = !state.stopAsked && restartsAfter(state, settings);
  const preserveRuntime = settings.runtimePreserve === "yes" || (again && settings.runtimePreserve === "restart");
  const end: readonly Doing[] = [phaseTimer(undefined), { kind: "end", preserveRuntime }];
  if (again) {
    const waiting: ServiceState = { ...state, phase: "auto-restart", restarts: state.restarts + 1 };
    return { state: waiting, todo: [...end, { kind: "restart-timer", ms: settings.restartMs }] };
  }
  return { state: { ...state, phase: state.result === "success" ? "dead" : "failed" }, todo: end };
}

function mainEnded(before: ServiceState, ending: Ending, settings: ServiceSettings): Move {
  const ignored = settings.exec.ExecStart[before.phase === "start" ? before.step : 0]?.ignoreFailure === true;
  const result = ignored ? "success" : resultOf(ending, settings, true);
  const state = worse({ ...before, main: ending, mainAlive: false }, result);
  switch (before.phase) {
    case "start":
      if (settings.type === "oneshot" && result === "success")
        return runList(state, "ExecStart", before.step + 1, settings, []);
      // It ended before it said that it was ready.
      return killPhase({ ...worse(state, "protocol"), phase: "stop-sigterm" }, settings);
    case "start-post":
    case "reload":
      return unmoved(state); // decided when the command that runs beside it has ended
    case "running":
      return enterRunning(state, settings);
    default:
      return unmoved(state);
  }
}

function controlEnded(before: ServiceState, ending: Ending, settings: ServiceSettings): Move {
  const key = listOf(before.phase);
  if (key === undefined) return unmoved(before);
  const ignored = settings.exec[key][before.step]?.ignoreFailure === true;
  const result = ignored ? "success" : resultOf(ending, settings, false);
  if (result === "success") return runList(before, key, before.step + 1, settings, []);
  if (key === "ExecReload") return enterRunning(before, settings);
  const state = worse(before, result);
  if (key === "ExecStartPre" || key === "ExecStartPost")
    return killPhase({ ...state, phase: "stop-sigterm" }, settings);
  return killPhase({ ...state, phase: key === "ExecStop" ? "stop-sigterm" : "final-sigterm" }, settings);
}

function listOf(phase: Phase): ExecKey | undefined {
  switch (phase) {
    case "start-pre":
      return "ExecStartPre";
    case "start-post":
      return "ExecStartPost";
    case "reload":
      return "ExecReload";
    case "stop":
      return "ExecStop";
    case "stop-post":
      return "ExecStopPost";
    default:
      return undefined;
  }
}

function cannotStart(
  before: ServiceState,
  result: Result,
  ending: Ending | undefined,
  settings: ServiceSettings,
): Move {
  const state: ServiceState = { ...worse(before, result), mainAlive: false, main: ending ?? before.main };
  return isAtRest(before)
    ? unmoved({ ...state, phase: "failed" })
    : killPhase({ ...state, phase: "stop-sigterm" }, settings);
}

function timeOut(
  state: ServiceState,
  of: "phase" | "restart" | "runtime",
  settings: ServiceSettings,
  nowMs: number,
): Move {
  if (of === "restart") return state.phase === "auto-restart" ? begin(state, settings, nowMs) : unmoved(state);
  const late = worse(state, "timeout");
  if (of === "runtime") return state.phase === "running" ? enterStop(late, settings) : unmoved(state);
  switch (state.phase) {
    case "start-pre":
    case "start":
    case "start-post":
    case "stop":
      return killPhase({ ...late, phase: "stop-sigterm" }, settings);
    case "reload":
      return enterRunning(state, settings);
    case "stop-watchdog":
    case "stop-sigterm":
      return killPhase({ ...late, phase: "stop-sigkill" }, settings);
    case "stop-post":
      return killPhase({ ...late, phase: "final-sigterm" }, settings);
    case "final-sigterm":
      return killPhase({ ...late, phase: "final-sigkill" }, settings);
    // What does not even go by SIGKILL is given up.
    case "stop-sigkill":
      return nothingLeft(late, settings);
    case "final-sigkill":
      return enterDead(late, settings);
    default:
      return unmoved(state);
  }
}
