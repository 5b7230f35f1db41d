import { z } from "zod";
import { AppClient, Deadline } from "./application.ts";
import type { Application, ApplicationConfig } from "./application.ts";

/** GET /api/ps: the models in memory, and how much of each lies on the GPU (0 when it runs on the CPU). */
const loadedModels = z.object({
  models: z.array(z.object({ name: z.string().min(1).max(512), size_vram: z.number().nonnegative().default(0) })),
});

/** `llama3` and `llama3:latest` are one model to Ollama. */
const fullName = (model: string): string => (/:[^/]*$/.test(model) ? model : `${model}:latest`);

/**
 * Ollama's API (docs/api.md, "Unload a model"): `POST /api/generate` without a prompt and with `keep_alive` 0 unloads
 * a model once its running answers have ended; there is no preemption. `GET /api/ps` says what is still loaded.
 * Raising loads nothing unless a model is configured: Ollama loads by itself at the next request.
 */
export function ollama(config: ApplicationConfig): Application {
  const client = new AppClient("ollama", config);
  const wanted = config.model === undefined ? undefined : fullName(config.model);
  const onGpu = async (deadline: Deadline): Promise<readonly string[]> => {
    const { models } = await client.read("/api/ps", loadedModels, deadline);
    return models
      .filter(({ name, size_vram }) => size_vram > 0 && (wanted === undefined || fullName(name) === wanted))
      .map(({ name }) => name);
  };
  const isEmpty = async (deadline: Deadline): Promise<boolean> => (await onGpu(deadline)).length === 0;
  return {
    type: "ollama",
    isLowered: (deadlineMs) => isEmpty(new Deadline(deadlineMs)),
    async lower(deadlineMs) {
      const deadline = new Deadline(deadlineMs);
      for (const model of await onGpu(deadline))
        await client.send("POST", "/api/generate", deadline, { model, keep_alive: 0, stream: false });
      await client.until(() => isEmpty(deadline), deadline, "a model is still loaded");
    },
    async raise(deadlineMs) {
      if (config.model === undefined) return;
      const deadline = new Deadline(deadlineMs);
      await client.send("POST", "/api/generate", deadline, { model: config.model, stream: false });
    },
  };
}
