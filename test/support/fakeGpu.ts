// The lab's fake NVIDIA libraries for tests: built once a process, each test file with its own card.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildFakeGpu } from "../../lab/gpu/build.ts";
import { FakeGpu } from "../../lab/gpu/fakeGpu.ts";
import { skip } from "../run/skip.ts";

const entry = fileURLToPath(new URL("./gpuChildEntry.ts", import.meta.url));

/** Commands of the two children, from their sources. */
export const gpuChildCommand: readonly string[] = [process.execPath, entry, "gpu-child"];
export const cudaChildCommand: readonly string[] = [process.execPath, entry, "cuda-child"];

export interface FakeCard {
  readonly gpu: FakeGpu;
  /** Paths of the two libraries. */
  readonly nvml: string;
  readonly cuda: string;
  remove(): Promise<void>;
}

/** A fake card in a fresh folder. Skips the running suite with the reason where it cannot be built. */
export async function fakeCard(context: Mocha.Context): Promise<FakeCard> {
  if (process.platform !== "linux") skip(context, "the fake GPU library needs Linux");
  const folder = await mkdtemp(join(tmpdir(), "hive-gpu-"));
  const built = await buildFakeGpu(folder);
  const remove = () => rm(folder, { recursive: true, force: true });
  if (built.kind === "failed") {
    await remove();
    skip(context, `no fake GPU library: ${built.reason}`);
  }
  const gpu = new FakeGpu(folder);
  await gpu.reset();
  return { gpu, nvml: built.nvml, cuda: built.cuda, remove };
}

/** Asks until `done` holds. Throws after `guardMs`, a hang guard. */
export async function until<T>(ask: () => Promise<T>, done: (value: T) => boolean, guardMs = 20_000): Promise<T> {
  const end = performance.now() + guardMs;
  for (;;) {
    const value = await ask();
    if (done(value)) return value;
    if (performance.now() > end) throw new Error(`still ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
