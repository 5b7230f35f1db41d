/**
 * libcuda's process checkpoint (CUDA 12.8, driver 570 and later), by its C interface. Layouts are those of cuda.h
 * 12.8 and 13: every argument struct is 64 bytes with reserved fields zero; `CUcheckpointLockArgs` {u32 timeoutMs; u32
 * reserved0; u64 reserved1[7]}. Zeroed `CUcheckpointCheckpointArgs` and `CUcheckpointRestoreArgs` mean host memory and
 * the same card in every version. `CUprocessState`: 0 running, 1 locked, 2 checkpointed, 3 failed.
 */
import { LibraryError, Library } from "./library.ts";
import type { CType, CValue } from "./library.ts";
import type { CudaProcessState } from "./cudaTypes.ts";

/** `CUresult` in words, the ones that these calls give. */
const words: Readonly<Record<number, string>> = {
  1: "an argument is invalid, or the process is no CUDA process",
  2: "out of memory",
  3: "CUDA is not initialized",
  100: "no CUDA card",
  101: "no such CUDA card",
  201: "the context is invalid",
  304: "an operating system call failed",
  401: "the process is in the wrong state for this",
  500: "not found: this driver does not have the function",
  600: "not ready: the process did not come to rest in time",
  800: "not permitted",
  801: "not supported by this driver or process",
  803: "driver and library differ in version",
  999: "an unknown driver error",
};

const notInitialized = 3;
const notFound = 500;
const argumentBytes = 64;
const states: readonly CudaProcessState[] = ["running", "locked", "checkpointed", "failed"];
const required = ["Lock", "Checkpoint", "Restore", "Unlock", "GetState"] as const;

export function cudaWords(call: string, code: number): string {
  return `${call}: ${words[code] ?? "a CUDA error"} (${code})`;
}

export class CudaDriver {
  readonly #library: Library;

  constructor(path: string) {
    this.#library = new Library(path);
  }

  /** As `cuDriverGetVersion` gives it: 12080 is CUDA 12.8. */
  version(): number {
    const out = Buffer.alloc(4);
    this.#call("cuDriverGetVersion", ["pointer"], out);
    return out.readInt32LE(0);
  }

  /** Whether the library has the checkpoint functions at all. */
  canCheckpoint(): boolean {
    return required.every((name) => this.#library.find(`cuCheckpointProcess${name}`, ["int", "pointer"]) !== undefined);
  }

  state(pid: number): CudaProcessState {
    const out = Buffer.alloc(4);
    this.#onProcess("GetState", pid, out);
    return states[out.readInt32LE(0)] ?? "failed";
  }

  restoreThreadId(pid: number): number {
    const out = Buffer.alloc(4);
    this.#onProcess("GetRestoreThreadId", pid, out);
    return out.readInt32LE(0);
  }

  /** Holds back further CUDA calls of the process. `timeoutMs` 0 would wait for ever, so at least 1 is passed. */
  lock(pid: number, timeoutMs: number): void {
    const args = Buffer.alloc(argumentBytes);
    args.writeUInt32LE(Math.min(0xffff_ffff, Math.max(1, Math.round(timeoutMs))), 0);
    this.#onProcess("Lock", pid, args);
  }

  checkpoint(pid: number): void {
    this.#onProcess("Checkpoint", pid, Buffer.alloc(argumentBytes));
  }

  /** A restore needs persistence mode or `cuInit` before it (CUDA Driver API, "Checkpointing"). */
  restore(pid: number): void {
    this.#call("cuInit", ["uint32"], 0);
    this.#onProcess("Restore", pid, Buffer.alloc(argumentBytes));
  }

  unlock(pid: number): void {
    this.#onProcess("Unlock", pid, Buffer.alloc(argumentBytes));
  }

  #onProcess(what: string, pid: number, argument: Buffer): void {
    const name = `cuCheckpointProcess${what}`;
    try {
      this.#call(name, ["int", "pointer"], pid, argument);
    } catch (error) {
      if (!(error instanceof LibraryError) || error.code !== notInitialized) throw error;
      this.#call("cuInit", ["uint32"], 0);
      this.#call(name, ["int", "pointer"], pid, argument);
    }
  }

  #call(name: string, types: readonly CType[], ...values: CValue[]): void {
    const native = this.#library.find(name, types);
    const code = native ? native(...values) : notFound;
    if (code !== 0) throw new LibraryError(cudaWords(name, code), code);
  }
}
