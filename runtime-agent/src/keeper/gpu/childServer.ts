/**
 * The child's half of the conversation: one JSON request a line on stdin, one JSON answer a line on stdout.
 *
 * It reads and writes synchronously, and a call into the driver blocks it: the parent counts the time and kills it.
 * It ends when stdin ends. Lines: `{"hello":…}` first, then `{"id":1,"ok":…}` or `{"id":1,"refused":{reason,code}}`.
 */
import { readSync, writeSync } from "node:fs";
import { LibraryError } from "./library.ts";

export interface ChildHandler {
  /** The first line. `false` in `go` ends the child after it was said. */
  hello(): { readonly go: boolean; readonly say: object };
  /** Answers one request; throws `LibraryError` for what the driver refused. */
  handle(op: string, params: Readonly<Record<string, unknown>>): unknown;
  /** Whether the child is of no use after this code and ends once it was told. */
  fatal(code: number): boolean;
}

const lineBytesMax = 65_536;
const rest = new Int32Array(new SharedArrayBuffer(4));

/** Kept, for the same reason as the driver's (`nvmlLibrary.ts`). */
const outgoing = Buffer.alloc(lineBytesMax);

function say(message: object): void {
  const line = `${JSON.stringify(message)}\n`;
  let left = Buffer.byteLength(line) > outgoing.length ? Buffer.from(line) : outgoing.subarray(0, outgoing.write(line));
  while (left.length > 0) {
    try {
      left = left.subarray(writeSync(1, left));
    } catch (error) {
      if (!isRetry(error)) process.exit(0);
    }
  }
}

/** Whether to try again: the pipe of a parent that did not make it blocking. Rests, so as not to spin. */
function isRetry(error: unknown): boolean {
  if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) return false;
  Atomics.wait(rest, 0, 0, 5);
  return true;
}

/** Lines of stdin until it ends. */
function* lines(): Generator<string> {
  const chunk = Buffer.alloc(4096);
  let pending = "";
  for (;;) {
    let size = 0;
    try {
      size = readSync(0, chunk);
    } catch (error) {
      if (isRetry(error)) continue;
      return;
    }
    if (size === 0 || pending.length > lineBytesMax) return;
    const parts = (pending + chunk.toString("latin1", 0, size)).split("\n");
    pending = parts.pop() ?? "";
    yield* parts;
  }
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

/** Serves until stdin ends, then ends the process. */
export function serveLines(handler: ChildHandler): void {
  const hello = handler.hello();
  say({ hello: hello.say });
  if (!hello.go) process.exit(0);
  for (const line of lines()) {
    const request = record(JSON.parse(line));
    const { id, op } = request;
    try {
      say({ id, ok: handler.handle(String(op), record(request["params"])) ?? null });
    } catch (error) {
      const code = error instanceof LibraryError ? error.code : -1;
      say({ id, refused: { reason: error instanceof Error ? error.message : String(error), code } });
      if (handler.fatal(code)) process.exit(0);
    }
  }
  process.exit(0);
}

/** A request's number, or a refusal that names the parameter. */
export function numberOf(params: Readonly<Record<string, unknown>>, name: string): number {
  const value = params[name];
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0) {
    throw new LibraryError(`${name} must be a number of at least 0`, -1);
  }
  return value;
}
