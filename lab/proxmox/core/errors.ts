/**
 * Errors as Proxmox's REST server sends them: a status, a one-line reason that is also the HTTP reason phrase,
 * and, for parameter errors, one message a parameter.
 *
 * Source: pve-common src/PVE/Exception.pm (raise_param_exc 400, raise_perm_exc 403), pve-http-server formatter.
 */
export class PveError extends Error {
  readonly status: number;
  readonly errors: Readonly<Record<string, string>> | undefined;
  constructor(status: number, message: string, errors?: Record<string, string>) {
    super(message);
    this.name = "PveError";
    this.status = status;
    this.errors = errors;
  }
}

/** A Perl `die "…\n"` inside an API call: status 500. */
export function die(message: string): never {
  throw new PveError(500, message);
}

export function paramError(errors: Record<string, string>): never {
  throw new PveError(400, "Parameter verification failed.", errors);
}

export function permError(what: string): never {
  throw new PveError(403, what === "" ? "Permission check failed" : `Permission check failed (${what})`);
}

export function unauthorized(message: string): never {
  throw new PveError(401, message);
}
