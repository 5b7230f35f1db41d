/** Why a child gave no answer, reading what it wrote, and waiting for its end. */
import type { ChildProcess } from "node:child_process";

export type ChildFaultKind = "deadline" | "gone" | "garbage" | "pause" | "refused" | "closed";

/** Why a request has no answer. `refused` is the library's own answer, with its code. */
export class ChildFault extends Error {
  readonly kind: ChildFaultKind;
  readonly code: number | undefined;
  constructor(kind: ChildFaultKind, message: string, code?: number) {
    super(message);
    this.kind = kind;
    this.code = code;
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The JSON object of one line, or undefined. */
export function parseRecord(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The end of a process, waited for at most `withinMs`. */
export function endOf(child: ChildProcess, withinMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, withinMs);
    child.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
