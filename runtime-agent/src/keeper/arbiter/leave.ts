/** The end of the arbiter, or of a start that failed: everything is set free, and the card gets its own limits back. */
import type { Log } from "../../shared/log.ts";
import type { GpuDevice } from "../gpu/types.ts";
import type { ArbiterSection } from "./coreConfig.ts";
import type { ArbiterState } from "./core/state.ts";
import type { Executor } from "./executor.ts";
import { freeBoundMs, setAllFree } from "./kernelCheck.ts";
import { returnMs, settleMs } from "./leaveTime.ts";
import type { RungPorts } from "./rungs.ts";
import type { Services } from "./services.ts";

export interface LeavePorts {
  readonly services: Services;
  readonly section: ArbiterSection;
  readonly state: () => ArbiterState;
  readonly executor: Pick<Executor, "settled">;
  readonly rungs: RungPorts;
  readonly device: Pick<GpuDevice, "restore">;
  readonly log: Log;
  /** Told how long the rest may take, ms, each time that is known better. */
  readonly extend: (ms: number) => void;
}

/** What the last steps take at most beside the services, ms: the card's limits, its child, the journal. */
const lastStepsMs = 10_000;

/** Gives the services that could not be set free. */
export async function leaveAll(ports: LeavePorts): Promise<readonly string[]> {
  const { services, section, state, executor, rungs, device, log, extend } = ports;
  const moves = {
    vramMiBOf: (service: string) => section.services.find(({ name }) => name === service)?.vramMiB,
    isCheckpointed: (service: string) => rungs.checkpointed(service).length > 0,
  };
  const waitMs = settleMs(state(), moves);
  extend(waitMs + lastStepsMs);
  await executor.settled(waitMs);
  const backMs = returnMs(services.names, state(), moves);
  extend(freeBoundMs(backMs) + lastStepsMs);
  const stuck = await setAllFree(services, state(), rungs, backMs, log);
  extend(lastStepsMs);
  const restored = await device.restore();
  if (!restored.ok) log.warning("the card's own limits could not be restored", { fault: restored.reason });
  return stuck;
}
