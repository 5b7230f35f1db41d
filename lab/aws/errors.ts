/**
 * Errors as Lightsail sends them in AWS JSON 1.1: a type, a message, and mostly status 400 (API reference, "Common
 * Errors" and each action's "Errors"; `code`, `docs` and `tip` are fields of every exception there).
 */
export class AwsError extends Error {
  readonly type: string;
  readonly status: number;
  constructor(type: string, message: string, status = 400) {
    super(message);
    this.type = type;
    this.status = status;
  }
}

export function invalid(message: string): never {
  throw new AwsError("InvalidInputException", message);
}

/** Some calls say so without the exception's type; terraform-provider-aws therefore looks for this word (errs.go). */
export function notFound(what: string, name: string): never {
  throw new AwsError("NotFoundException", `The ${what} does not exist: ${name} (DoesNotExist)`);
}
