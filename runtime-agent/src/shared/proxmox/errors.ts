/**
 * Why a call to Proxmox failed:
 * `unreachable` no connection; `certificate` not the pinned one; `timeout` no answer in time; `unauthorised` the token is
 * not known; `forbidden` it lacks a privilege; `refused` Proxmox says no (4xx, or 500 with its reason); `nonsense` an
 * answer that is none of Proxmox's; `task` the task that was started ended badly.
 */
export type PveErrorKind =
  "unreachable" | "certificate" | "timeout" | "unauthorised" | "forbidden" | "refused" | "nonsense" | "task";

/** Never holds the token: only method, path, status and what Proxmox said. */
export class PveError extends Error {
  readonly kind: PveErrorKind;
  readonly status: number | undefined;
  /** What Proxmox said. */
  readonly said: string;

  constructor(kind: PveErrorKind, where: string, said: string, status?: number) {
    super(`${where}: ${said}${status === undefined ? "" : ` (${String(status)})`}`);
    this.name = "PveError";
    this.kind = kind;
    this.said = said;
    this.status = status;
  }
}
