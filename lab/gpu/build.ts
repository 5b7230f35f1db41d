/** Compiles the lab's fake libnvidia-ml and libcuda. They stand in one folder with the state that they read. */
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export type FakeGpuBuild =
  | { readonly kind: "built"; readonly folder: string; readonly nvml: string; readonly cuda: string }
  | { readonly kind: "failed"; readonly reason: string };

const compilers = ["cc", "gcc", "clang"] as const;
const flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Wno-unused-function", "-fvisibility=hidden"] as const;

function source(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

/** Runs a command; undefined when it succeeded, else why not. */
function run(command: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (errors = (errors + text).slice(-4000)));
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code) => resolve(code === 0 ? undefined : errors.trim() || `${command} ended with ${code}`));
  });
}

/**
 * Builds both libraries into `folder` (made when missing). `failed` where there is no C compiler or the source does
 * not compile; the reason says which.
 */
export async function buildFakeGpu(folder: string): Promise<FakeGpuBuild> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const nvml = join(folder, "libnvidia-ml.so.1");
  const cuda = join(folder, "libcuda.so.1");
  let compiler: string | undefined;
  for (const candidate of compilers) {
    if ((await run(candidate, ["--version"])) === undefined) {
      compiler = candidate;
      break;
    }
  }
  if (compiler === undefined) return { kind: "failed", reason: `no C compiler (${compilers.join(", ")})` };
  for (const [file, target] of [
    ["./fake_nvml.c", nvml],
    ["./fake_cuda.c", cuda],
  ] as const) {
    const fault = await run(compiler, [...flags, "-o", target, source(file), "-ldl"]);
    if (fault !== undefined) return { kind: "failed", reason: `${compiler} ${file}: ${fault}` };
  }
  return { kind: "built", folder, nvml, cuda };
}
