// Stands for the bundle's hidden subcommands in tests: `gpu-child …` and `cuda-child …`, nothing else loaded.
import { runCudaChild } from "../../runtime-agent/src/keeper/gpu/cudaChild.ts";
import { runGpuChild } from "../../runtime-agent/src/keeper/gpu/gpuChild.ts";

const [which, ...rest] = process.argv.slice(2);
if (which === "gpu-child") runGpuChild(rest);
else if (which === "cuda-child") runCudaChild(rest);
else process.exit(2);
