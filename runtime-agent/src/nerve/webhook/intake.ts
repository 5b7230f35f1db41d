/**
 * What a caller of the webhook sends, bounded: each body, all bodies that are held at one time, and what a body becomes
 * once it is parsed.
 */
import type { IncomingMessage } from "node:http";

/** Longest body, bytes: the API server takes no larger object (its `--max-request-body-bytes`). */
export const mostBodyBytes = 3 * 1024 * 1024;
/** All bodies that are held at one time, bytes. */
const mostHeldBytes = 4 * 1024 * 1024;
/** Up to here a body becomes whatever it likes, bytes: values of JSON take some ten times their text at worst. */
const harmlessBytes = 128 * 1024;
/** Values in a longer one. A Pod with a hundred containers has a tenth of that. */
const mostValues = 40_000;

/** Why a body is not taken: it, or what it would become, is too big; others have all the room; it is no JSON. */
export const refusals = ["too-big", "busy", "garbage"] as const;
export type Refused = (typeof refusals)[number];
export const refusedStatus: Readonly<Record<Refused, number>> = { "too-big": 413, busy: 503, garbage: 400 };

export type Taken<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refused: Refused };

const refuse = (refused: Refused): { readonly ok: false; readonly refused: Refused } => ({ ok: false, refused });

/** Reads bodies; those of one intake share its bound. */
export class Intake {
  #held = 0;

  /** The body, or why it is not taken. Rejects when the caller goes away in the middle of it. */
  read(request: IncomingMessage): Promise<Taken<Buffer>> {
    if (Number(request.headers["content-length"] ?? 0) > mostBodyBytes) return Promise.resolve(refuse("too-big"));
    return new Promise((resolve, reject) => {
      const parts: Buffer[] = [];
      let size = 0;
      const end = (done: () => void): void => {
        request.off("data", take).off("end", whole).off("error", broken).off("close", gone);
        this.#held -= size;
        size = 0;
        done();
      };
      const take = (part: Buffer): void => {
        size += part.length;
        this.#held += part.length;
        parts.push(part);
        if (size > mostBodyBytes) end(() => resolve(refuse("too-big")));
        else if (this.#held > mostHeldBytes) end(() => resolve(refuse("busy")));
      };
      const whole = (): void => end(() => resolve({ ok: true, value: Buffer.concat(parts) }));
      const broken = (error: Error): void => end(() => reject(error));
      const gone = (): void => broken(new Error("the caller has gone"));
      request.on("data", take).once("end", whole).once("error", broken).once("close", gone);
    });
  }
}

/** Parses a body whose values have room. */
export function parseBody(body: Buffer): Taken<unknown> {
  if (body.length > harmlessBytes && !hasFewValues(body)) return refuse("too-big");
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    return { ok: true, value };
  } catch {
    return refuse("garbage");
  }
}

/** Counts what begins or parts values, outside of texts. In UTF-8 no other sign has a byte of these. */
function hasFewValues(body: Buffer): boolean {
  let values = 0;
  let quoted = false;
  for (let at = 0; at < body.length; at += 1) {
    const byte = body[at];
    if (quoted) {
      if (byte === 0x5c) at += 1;
      else if (byte === 0x22) quoted = false;
    } else if (byte === 0x22) quoted = true;
    else if (byte === 0x2c || byte === 0x5b || byte === 0x7b) {
      values += 1;
      if (values > mostValues) return false;
    }
  }
  return true;
}
