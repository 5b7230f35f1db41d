/**
 * The process that asks libcuda to checkpoint other processes. Unlike the GPU child it outlives a killed parent until
 * its call is done: a checkpoint cut in half would cost the process its memory. It then ends, as stdin has ended.
 */
import { defaultCudaLibrary } from "./childArguments.ts";
import { numberOf, serveLines } from "./childServer.ts";
import { CudaDriver } from "./cudaLibrary.ts";
import { LibraryError } from "./library.ts";

/** Body of the hidden subcommand `cuda-child`: `[library]`. Never returns. */
export function runCudaChild(argv: readonly string[]): void {
  const [library = defaultCudaLibrary] = argv;
  let driver: CudaDriver | undefined;
  serveLines({
    hello: () => {
      try {
        driver = new CudaDriver(library);
        return { go: true, say: { version: driver.version(), canCheckpoint: driver.canCheckpoint() } };
      } catch (error) {
        return { go: false, say: { failed: error instanceof Error ? error.message : String(error) } };
      }
    },
    handle: (op, params) => {
      if (driver === undefined) throw new LibraryError("no driver is open", -1);
      if (op === "hello") return {};
      const pid = numberOf(params, "pid");
      if (op === "state") return driver.state(pid);
      if (op === "lock") return driver.lock(pid, numberOf(params, "timeoutMs"));
      if (op === "checkpoint") return driver.checkpoint(pid);
      if (op === "restore") return driver.restore(pid);
      if (op === "unlock") return driver.unlock(pid);
      if (op === "restoreThreadId") return driver.restoreThreadId(pid);
      throw new LibraryError(`unknown request ${op}`, -1);
    },
    fatal: () => false,
  });
}
