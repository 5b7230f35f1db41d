import { z } from "zod";
import { AppClient, Deadline } from "./application.ts";
import type { Application, ApplicationConfig } from "./application.ts";

const sleeping = z.object({ is_sleeping: z.boolean() });

/**
 * vLLM's sleep mode (docs.vllm.ai, "Sleep Mode"): `POST /sleep?level=1` moves the weights to the host's memory and
 * drops the KV cache, `POST /wake_up` brings the weights back. Its server has these routes only when it was started
 * with `--enable-sleep-mode` and `VLLM_SERVER_DEV_MODE=1`; without them the rung is unsupported. The answer to `/sleep`
 * may come before the engine sleeps, so `GET /is_sleeping` decides.
 */
export function vllm(config: ApplicationConfig): Application {
  const client = new AppClient("vllm", config);
  const isSleeping = async (deadline: Deadline): Promise<boolean> =>
    (await client.read("/is_sleeping", sleeping, deadline)).is_sleeping;
  return {
    type: "vllm",
    isLowered: (deadlineMs) => isSleeping(new Deadline(deadlineMs)),
    async lower(deadlineMs) {
      const deadline = new Deadline(deadlineMs);
      if (await isSleeping(deadline)) return;
      await client.send("POST", "/sleep?level=1", deadline);
      await client.until(() => isSleeping(deadline), deadline, "it did not fall asleep");
    },
    async raise(deadlineMs) {
      const deadline = new Deadline(deadlineMs);
      if (!(await isSleeping(deadline))) return;
      await client.send("POST", "/wake_up", deadline);
      await client.until(async () => !(await isSleeping(deadline)), deadline, "it did not wake up");
    },
  };
}
