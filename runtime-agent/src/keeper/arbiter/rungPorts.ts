import type { GpuPart } from "./gpuSampler.ts";
import type { Memory } from "./memory.ts";
import type { RungPorts } from "./rungs.ts";

/** What the rungs reach beside the services: the card, and the memory of what the driver moved. */
export function rungPorts(gpu: GpuPart, memory: Memory): RungPorts {
  return {
    gpu: gpu.device,
    openCuda: gpu.openCuda,
    noteCheckpoint: (service, processes) => memory.noteCheckpoint(service, processes),
    checkpointed: (service) => memory.shell.checkpointed[service] ?? [],
  };
}
