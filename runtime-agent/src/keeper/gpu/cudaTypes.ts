/** What the driver's checkpoint is asked and answers. Times are milliseconds. */

export type CudaProcessState = "running" | "locked" | "checkpointed" | "failed";

/** One process to suspend, with what it holds on the card. */
export interface CudaProcess {
  readonly pid: number;
  /** Undefined where NVML cannot tell; then the memory gate refuses. */
  readonly vramMiB: number | undefined;
}

/** How a step ended. `rolledBack` tells of a failed `suspend` whether every process runs again. */
export type CudaOutcome =
  | { readonly ok: true; readonly tookMs: number }
  | { readonly ok: false; readonly reason: string; readonly rolledBack?: boolean };

/** The driver's checkpoint of CUDA processes. Nothing here rejects; every call ends within its deadline. */
export interface CudaCheckpoint {
  /** Whether this driver can, and whether free RAM holds `vramMiB` and the margin; the reason when not. */
  gate(vramMiB: number | undefined): Promise<CudaOutcome>;
  /** Undefined when the driver does not tell. */
  state(pid: number): Promise<CudaProcessState | undefined>;
  lock(pid: number, timeoutMs: number): Promise<CudaOutcome>;
  checkpoint(pid: number): Promise<CudaOutcome>;
  restore(pid: number): Promise<CudaOutcome>;
  unlock(pid: number): Promise<CudaOutcome>;
  /** Thread of the process that a restore runs on: it must not be frozen. Undefined when the driver does not tell. */
  restoreThreadId(pid: number): Promise<number | undefined>;
  /**
   * Gate, then lock all, then checkpoint all; when a step fails everything done is undone. The processes must run
   * (freeze them after this, thaw them before `resume`). Asked again after a crash it goes on from where each one is.
   */
  suspend(processes: readonly CudaProcess[], lockTimeoutMs: number): Promise<CudaOutcome>;
  /** Restore all, then unlock all; what runs already is left alone. */
  resume(pids: readonly number[]): Promise<CudaOutcome>;
  close(): Promise<void>;
}
