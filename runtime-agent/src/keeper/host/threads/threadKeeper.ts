/** When the threads are looked at again: asked after each loop, done every period, one look at a time. */
import type { HostConfig } from "../../../../../components/shared/agent/keeperConfig.ts";
import type { Clock } from "../../../shared/clock.ts";
import type { Log } from "../../../shared/log.ts";
import { createPinner, type Pinner } from "./pinner.ts";

export interface ThreadKeeper {
  /** Looks when it is time, and waits for nothing. */
  look(): void;
  /** Another rule, or none, from the next look on, which comes at once. Threads that were moved stay where they are. */
  reconfigure(rule: HostConfig["pinning"]): void;
}

export function createThreadKeeper(options: {
  readonly rule: HostConfig["pinning"];
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly log: Log;
}): ThreadKeeper {
  const { clock, log } = options;
  let pinner: Pinner | undefined;
  let everyMs = 0;
  let lookedMs = Number.NEGATIVE_INFINITY;
  let looking = false;
  const reconfigure = (rule: HostConfig["pinning"]): void => {
    pinner = rule === undefined ? undefined : createPinner({ rule });
    everyMs = (rule?.everySec ?? 0) * 1000;
    lookedMs = Number.NEGATIVE_INFINITY;
  };
  reconfigure(options.rule);
  return {
    look() {
      if (pinner === undefined || looking || clock.monotonicMs() - lookedMs < everyMs) return;
      lookedMs = clock.monotonicMs();
      looking = true;
      void pinner.check().then(({ applied, faults }) => {
        looking = false;
        if (applied.length > 0) log.notice("threads moved", { count: applied.length });
        if (faults.length > 0) log.warning("threads", { faults });
      });
    },
    reconfigure,
  };
}
