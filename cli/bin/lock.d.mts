/** Who holds a lock: `started` tells one process from a later one with the same pid. */
export interface Holder {
  readonly pid: number;
  readonly started: string | undefined;
  readonly host: string;
}
export interface LockOptions {
  readonly onWait?: (holder: Holder) => void;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds between two looks at a held lock. @default 200 */
  readonly pollMs?: number;
}
/** When process `pid` started, in a form that no later process with the same pid shares; undefined when there is none. */
export function processStart(pid: number): string | undefined;
/** True when the process that wrote this record still runs, or runs on another machine. */
export function holderAlive(holder: Holder): boolean;
/** The current holder of the lock in `folder`, or undefined when it is free. */
export function currentHolder(folder: string): Holder | undefined;
/** Waits for the lock in `folder`, takes it, and returns the function that releases it. */
export function acquireLock(folder: string, options?: LockOptions): Promise<() => void>;
