import { z } from "zod";
import { ProcessError } from "../errors.ts";
import { AppClient, Deadline } from "./application.ts";
import type { Application, ApplicationConfig } from "./application.ts";

const queue = z.object({ queue_running: z.array(z.unknown()), queue_pending: z.array(z.unknown()) });

/**
 * ComfyUI's server (docs.comfy.org, "Routes"): `POST /free` sets flags that its worker reads between two workflows, so
 * a running one must end first; `POST /interrupt` ends it and its work is lost. Queued workflows would start right
 * after and load the models again, and nothing in the API holds the queue: then the rung is refused and the next
 * one, which loses nothing, is taken. Raising does nothing: models load with the next workflow.
 *
 * The answer to `/free` says that it was asked, not that memory is free: that is read from the driver.
 */
export function comfyui(config: ApplicationConfig): Application {
  const client = new AppClient("comfyui", config);
  const read = (deadline: Deadline): Promise<z.infer<typeof queue>> => client.read("/queue", queue, deadline);
  const isIdle = async (deadline: Deadline): Promise<boolean> => {
    const { queue_running: running, queue_pending: pending } = await read(deadline);
    return running.length === 0 && pending.length === 0;
  };
  return {
    type: "comfyui",
    isLowered: (deadlineMs) => isIdle(new Deadline(deadlineMs)),
    async lower(deadlineMs) {
      const deadline = new Deadline(deadlineMs);
      const { queue_running: running, queue_pending: pending } = await read(deadline);
      if (pending.length > 0)
        throw new ProcessError(
          "refused",
          `comfyui: ${String(pending.length)} queued workflow(s) would load the models again at once`,
        );
      if (running.length > 0 && config.interrupt !== true)
        throw new ProcessError("refused", "comfyui: a workflow is running, and `interrupt` does not allow to lose it");
      if (running.length > 0) {
        await client.send("POST", "/interrupt", deadline);
        await client.until(() => isIdle(deadline), deadline, "the workflow did not end");
      }
      await client.send("POST", "/free", deadline, { unload_models: true, free_memory: true });
    },
    raise: () => Promise.resolve(),
  };
}
