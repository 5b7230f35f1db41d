/**
 * Why something could not be done to a service's processes. The executor goes to the next rung of the ladder on every
 * one of them; the word tells the journal, and people, which kind it was.
 *
 * - `deadline`: the kernel, the application or the engine did not get there in time; what could be undone was undone.
 * - `absent`: there is nothing to act on (cgroup, process or container is gone, no application listens).
 * - `unreachable`: nobody listens who would know: what a container engine holds is there, engine or not.
 * - `refused`: our own rule or theirs forbids it (the Keeper's own cgroup, process 1, an application that is busy).
 * - `unsupported`: this machine or this version cannot do it.
 * - `failed`: everything else, an answer that cannot be read among it.
 */
export type ProcessFault = "deadline" | "absent" | "unreachable" | "refused" | "unsupported" | "failed";

export class ProcessError extends Error {
  readonly fault: ProcessFault;

  constructor(fault: ProcessFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ProcessError";
    this.fault = fault;
  }
}

/** The `code` of a system error (`ENOENT`), when it is one. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** What an error says, for the message of another. */
export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
