// How the end of a process counts, and whether the service starts again (systemd.service(5), "Restart=").
import type { Ending, Result, ServiceState } from "./service-state.ts";
import type { ServiceSettings } from "./settings.ts";

const cleanSignals = new Set(["SIGHUP", "SIGINT", "SIGTERM", "SIGPIPE"]);

/** The table of Restart= in systemd.service(5), with the two settings that overrule it. */
export function restartsAfter(state: Pick<ServiceState, "result" | "main">, settings: ServiceSettings): boolean {
  if (state.main !== undefined && matches(state.main, settings.restartPrevent)) return false;
  if (state.main !== undefined && matches(state.main, settings.restartForce)) return true;
  const { result } = state;
  switch (settings.restart) {
    case "no":
      return false;
    case "always":
      return true;
    case "on-success":
      return result === "success";
    case "on-failure":
      return result !== "success";
    case "on-abnormal":
      return result !== "success" && result !== "exit-code";
    case "on-watchdog":
      return result === "watchdog";
    case "on-abort":
      return result === "signal" || result === "core-dump";
  }
}

function matches(ending: Ending, set: ReadonlySet<string>): boolean {
  if (ending.signal === undefined) return set.has(String(ending.status));
  return set.has(ending.signal) || set.has(ending.signal.replace(/^SIG/, ""));
}

/** How an ending counts. A signal of a wanted end is a success for a service that stays, not for a command. */
export function resultOf(ending: Ending, settings: ServiceSettings, main: boolean): Result {
  if (ending.signal === undefined)
    return ending.status === 0 || (main && matches(ending, settings.success)) ? "success" : "exit-code";
  if (main && (matches(ending, settings.success) || (settings.type !== "oneshot" && cleanSignals.has(ending.signal))))
    return "success";
  return ["SIGABRT", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGQUIT", "SIGSYS", "SIGTRAP"].includes(ending.signal)
    ? "core-dump"
    : "signal";
}
