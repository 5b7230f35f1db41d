import type { Rung } from "../../arbiter/core/types.ts";
import type { Application } from "../apps/application.ts";
import { ProcessError } from "../errors.ts";
import type { ServiceProcess } from "./serviceProcess.ts";

/** The rungs that act on processes; the driver's checkpoint is the GPU's part. */
export type ProcessRung = Exclude<Rung, "checkpoint">;

export interface ServiceHandles {
  readonly process: ServiceProcess;
  readonly application?: Application | undefined;
}

/** Moves a service down one rung, and returns when it is confirmed. @throws ProcessError */
export async function lowerService(handles: ServiceHandles, rung: ProcessRung, deadlineMs: number): Promise<void> {
  const { process, application } = handles;
  switch (rung) {
    case "application":
      if (application === undefined)
        throw new ProcessError("unsupported", `${process.description}: no application is configured`);
      return application.lower(deadlineMs);
    case "freeze":
      return process.freeze(deadlineMs);
    case "stop":
      return process.stop(deadlineMs);
    case "term":
      return process.term(deadlineMs);
    case "kill":
      return process.kill(deadlineMs);
  }
}

/** Undoes one rung, whether or not it is in force. @throws ProcessError */
export async function raiseService(handles: ServiceHandles, rung: ProcessRung, deadlineMs: number): Promise<void> {
  const { process, application } = handles;
  switch (rung) {
    case "application":
      return application?.raise(deadlineMs);
    case "freeze":
      return process.thaw(deadlineMs);
    case "stop":
      return process.cont(deadlineMs);
    case "term":
    case "kill":
      return process.start(deadlineMs);
  }
}
