/** The kernel's word against the record: at start, and when the agent leaves. No process stays frozen. */
import type { Log } from "../../shared/log.ts";
import { textOf } from "../processes/errors.ts";
import { lowerService } from "../processes/service/rungs.ts";
import type { ServiceState } from "../processes/service/serviceProcess.ts";
import type { ArbiterState, Hold } from "./core/state.ts";
import { kernelStepMs } from "./leaveTime.ts";
import type { RungPorts } from "./rungs.ts";
import { letRun, undo } from "./rungs.ts";
import type { Services } from "./services.ts";
import { within } from "./within.ts";

/**
 * What the kernel's word has against the record: `held`, though nothing says that it should rest, or the rung by which
 * it should rest while it runs. What is on its way up or down is the core's to ask for.
 */
export function wrongOf(hold: Readonly<Hold> | undefined, seen: ServiceState): "held" | "freeze" | "stop" | undefined {
  const held = seen === "frozen" || seen === "stopped" || seen === "partly";
  const mayBeHeld = hold !== undefined && ["lowered", "lowering", "raising"].includes(hold.phase);
  if (held && !mayBeHeld) return "held";
  if (hold?.phase !== "lowered" || seen !== "running") return undefined;
  const rung = hold.undo.findLast((each) => each === "freeze" || each === "stop");
  return rung === "freeze" || rung === "stop" ? rung : undefined;
}

/**
 * Compares every service with the record and puts it right: what is frozen or stopped and should not be runs again, and
 * what should rest and runs is held again (a process set free while the agent was away). Gives the names of those that
 * could not be compared: their engine is down, say.
 */
export async function putRight(services: Services, state: ArbiterState, log: Log): Promise<readonly string[]> {
  const all = await Promise.all(services.names.map((name) => putOneRight(name, services, state, log)));
  return services.names.filter((_name, index) => all[index] === false);
}

async function putOneRight(name: string, services: Services, state: ArbiterState, log: Log): Promise<boolean> {
  const hold = Object.hasOwn(state.holds, name) ? state.holds[name] : undefined;
  try {
    const handles = services.handles(name);
    const seen = await within(handles.process.state(), kernelStepMs, "no answer");
    const wrong = wrongOf(hold, seen);
    if (wrong === "held") {
      await letRun(handles, kernelStepMs);
      log.notice("set free at start: nothing says that it should rest", { service: name, was: seen });
    } else if (wrong !== undefined) {
      await lowerService(handles, wrong, kernelStepMs);
      log.notice("held again at start: it was set free meanwhile", { service: name, rung: wrong });
    }
    return true;
  } catch (error) {
    log.warning("cannot be compared with the record", { service: name, fault: textOf(error) });
    return false;
  }
}

/**
 * When the agent leaves: every rung is undone, for nobody would do it later. A holder keeps its lease; that the others
 * run beside it until the agent is back is the lesser evil. The record stays: the next start holds them again. Moving
 * VRAM back may take `returnMs` beside what the kernel does. Gives the names of those that could not be set free.
 */
export async function setAllFree(
  services: Services,
  state: ArbiterState,
  ports: RungPorts,
  returnMs: number,
  log: Log,
): Promise<readonly string[]> {
  const boundMs = freeBoundMs(returnMs);
  const all = await Promise.all(
    services.names.map(async (name) => {
      try {
        const handles = services.handles(name);
        const rungs = state.holds[name]?.undo ?? [];
        await within(undo(name, rungs, handles, ports, kernelStepMs + returnMs), boundMs, "not set free");
        return true;
      } catch (error) {
        log.warning("cannot be set free", { service: name, fault: textOf(error) });
        return false;
      }
    }),
  );
  return services.names.filter((_name, index) => all[index] === false);
}

/** The longest that setting all free takes, ms. */
export function freeBoundMs(returnMs: number): number {
  return 2 * kernelStepMs + returnMs;
}
