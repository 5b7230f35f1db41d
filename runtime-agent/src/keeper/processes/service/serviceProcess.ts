/**
 * The processes of one service, whatever holds them. Each rung returns only when the kernel (or the engine that holds
 * the container) confirms its effect; each may be repeated; each throws ProcessError, and then leaves nothing half
 * done: a freeze or stop that missed its deadline was undone again.
 */
export interface ServiceProcess {
  /** What it is, for the journal: `cgroup /hive/muse`. */
  readonly description: string;
  /** Living processes, zombies not counted; empty when the service does not run. @throws ProcessError as `state` */
  pids(): Promise<readonly number[]>;
  /** What the kernel says now. @throws ProcessError when who must be asked cannot be: that is not `absent` */
  state(): Promise<ServiceState>;
  /** Rung `freeze`: returns at `frozen 1`. @throws ProcessError `unsupported` outside a cgroup and an engine */
  freeze(deadlineMs: number): Promise<void>;
  thaw(deadlineMs: number): Promise<void>;
  /** Rung `stop`: SIGSTOP to every process; returns when each is stopped. */
  stop(deadlineMs: number): Promise<void>;
  cont(deadlineMs: number): Promise<void>;
  /** Rung `term`: SIGTERM, or what its manager sends; returns when none is left. Undone by `start`. */
  term(graceMs: number): Promise<void>;
  /** Rung `kill`: SIGKILL; returns when none is left. Undone by `start`. */
  kill(deadlineMs: number): Promise<void>;
  /** Starts it when it does not run. @throws ProcessError `unsupported` when its configuration does not say how */
  start(deadlineMs: number): Promise<void>;
}

/**
 * - `absent`: no process.
 * - `frozen`: the freezer holds all of them.
 * - `stopped`: every one is stopped by a signal.
 * - `partly`: some are stopped; a crash in the middle leaves this, and `thaw` with `cont` repairs it.
 * - `running`: none is held.
 */
export type ServiceState = "absent" | "running" | "frozen" | "stopped" | "partly";

/** Where a service's processes are: exactly one of the four; `start` where nobody else can start it. */
export interface ServiceProcessConfig {
  /** Path below the cgroup v2 mount. */
  readonly cgroup?: string | undefined;
  /** systemd unit, for example `ollama.service`. */
  readonly unit?: string | undefined;
  /** Container's name or id. */
  readonly container?: string | undefined;
  /** File with the number of the first process. */
  readonly pidFile?: string | undefined;
  /** Command and arguments that start it; run without a shell. */
  readonly start?: readonly string[] | undefined;
}
