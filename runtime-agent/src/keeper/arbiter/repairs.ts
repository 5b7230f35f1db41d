/** What a look finds wrong is put right while the agent runs: an engine that was down at its start is up some day. */
import type { Log } from "../../shared/log.ts";
import { lowerService } from "../processes/service/rungs.ts";
import type { ServiceState } from "../processes/service/serviceProcess.ts";
import type { ArbiterState } from "./core/state.ts";
import { wrongOf } from "./kernelCheck.ts";
import { letRun } from "./rungs.ts";
import type { Services } from "./services.ts";

export interface RepairPorts {
  readonly log: Log;
  readonly services: () => Services;
  readonly state: () => ArbiterState;
  /** Begins the work at once, or leaves it when something is under way for the service. */
  readonly repair: (service: string, work: () => Promise<void>) => void;
}

/** Bound of one repair, ms. */
const repairMs = 4_000;

export class Repairs {
  readonly #ports: RepairPorts;
  /** What was wrong at the last look, and how many looks in a row found it. */
  readonly #wrong = new Map<string, { readonly sign: string; readonly times: number }>();

  constructor(ports: RepairPorts) {
    this.#ports = ports;
  }

  /**
   * Takes the kernel's word about a service. One look alone may be older than what was just done, so two in a row have
   * to agree. What should run is set free again and again, ever more seldom; what should rest is held again once, for a
   * record also names rungs that failed.
   */
  looked(service: string, seen: ServiceState): void {
    const { log, services, state, repair } = this.#ports;
    const find = (): ReturnType<typeof wrongOf> => {
      const hold = Object.hasOwn(state().holds, service) ? state().holds[service] : undefined;
      return hold !== undefined && (hold.step !== null || hold.phase === "starting") ? undefined : wrongOf(hold, seen);
    };
    const wrong = find();
    if (wrong === undefined) {
      this.#wrong.delete(service);
      return;
    }
    const sign = `${wrong} ${String(state().holds[service]?.token)}`;
    const before = this.#wrong.get(service);
    const times = before?.sign === sign ? before.times + 1 : 1;
    this.#wrong.set(service, { sign, times });
    const isTurn = wrong === "held" ? times >= 2 && Number.isInteger(Math.log2(times)) : times === 2;
    if (!isTurn) return;
    repair(service, async () => {
      const handles = services().handles(service);
      if (wrong === "held") await letRun(handles, repairMs);
      else await lowerService(handles, wrong, repairMs);
      log.notice(wrong === "held" ? "set free: nothing says that it should rest" : "held again: it was set free", {
        service,
        was: seen,
      });
    });
  }
}
