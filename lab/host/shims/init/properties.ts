// Properties of a service as `systemctl show` prints them.
import { activeState } from "./service-state.ts";
import type { ServiceState } from "./service-state.ts";
import type { ServiceSettings } from "./settings.ts";

export interface Shown {
  readonly state: ServiceState;
  readonly invocation: string;
  readonly mainPid: number;
  readonly lastMainPid: number;
  readonly statusText: string;
  /** ms since 1970; 0: never. */
  readonly activeSince: number;
  readonly changedAt: number;
  readonly conditionsMet: boolean;
}

export function serviceProperties(service: Shown, settings: ServiceSettings | undefined): Record<string, string> {
  const { phase, result, main, restarts } = service.state;
  const time = (ms: number): string => (ms === 0 ? "" : new Date(ms).toUTCString());
  return {
    Type: settings?.type ?? "",
    Restart: settings?.restart ?? "no",
    MainPID: String(service.mainPid),
    NRestarts: String(restarts),
    Result: result,
    StatusText: service.statusText,
    ExecMainPID: String(service.lastMainPid),
    // CLD_EXITED and CLD_KILLED of wait(2)
    ExecMainCode: main === undefined ? "0" : main.signal === undefined ? "1" : "2",
    ExecMainStatus: String(main?.status ?? 0),
    ActiveState: activeState(phase),
    SubState: phase,
    InvocationID: service.invocation,
    ActiveEnterTimestamp: time(service.activeSince),
    StateChangeTimestamp: time(service.changedAt),
    ConditionResult: service.conditionsMet ? "yes" : "no",
  };
}
