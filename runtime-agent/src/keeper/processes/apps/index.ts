import type { Application, ApplicationConfig } from "./application.ts";
import { comfyui } from "./comfyui.ts";
import { ollama } from "./ollama.ts";
import { vllm } from "./vllm.ts";

const kinds = { vllm, ollama, comfyui };

/** The application that a service's configuration names. */
export function openApplication(config: ApplicationConfig): Application {
  return kinds[config.type](config);
}
