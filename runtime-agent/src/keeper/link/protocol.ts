/**
 * The words that the two sides of the Keeper exchange: one JSON object a line, at most 16 KiB, validated before use.
 *
 * Time never crosses the link. The arbiter hands out nonces and remembers when it issued each; a constraint echoes the
 * newest, and its validity counts from that instant on the arbiter's own monotonic clock. A message that is held up
 * on the way can therefore only shorten a lease, and one sent twice is refused. The host likewise counts a release
 * from when it asked for it.
 */
import { z } from "zod";

/** Longest line, newline included, in bytes. */
export const mostFrameBytes = 16 * 1024;
/** Longest validity that one constraint may claim, ms: a lost link must end in the strict side. */
export const mostValidMs = 3_600_000;
/** Longest promise of an arbiter not to grant after a release, ms. */
export const mostReleaseMs = 30 * 60_000;

/**
 * The words of this version, agreed on in the TLS handshake (ALPN, which both ends authenticate). The sides are upgraded
 * one after the other, and each ends a session at a word that it does not know; so a newer word is said only where both
 * named its edition. Sides of before name none: the handshake succeeds, and the words of before are spoken. A later
 * edition is put before this one in the list and does not replace it, for a server refuses lists without a common name.
 */
export const edition = "hive-keeper/2";

const nonce = z.string().regex(/^[0-9a-f]{32}$/);
const id = z.string().regex(/^[\w.:-]{1,100}$/);
const sequence = z.number().int().nonnegative();
const words = z.string().max(300);

const constraint = z.strictObject({
  type: z.literal("constraint"),
  sequence,
  nonce,
  marketOpen: z.boolean(),
  handoff: z.boolean(),
  /** Heat of the room, °C. */
  roomC: z.number().min(-50).max(150).optional(),
  validMs: z.number().int().min(1).max(mostValidMs),
});
const handoffRequest = z.strictObject({ type: z.literal("handoffRequest"), id, vmid: z.number().int().min(100) });
/**
 * The handoff of this request has ended, and no stop of the VM was ordered under its release or ever will be: the
 * arbiter's promise may end. Said only of what the host's own journal holds as ended, again until it is answered, and
 * before a request of the same id is made anew. Only on links of {@link edition}.
 */
const takeBack = z.strictObject({ type: z.literal("takeBack"), id });

/** What the host side may say. */
export const fromHost = z.discriminatedUnion("type", [constraint, handoffRequest, takeBack]);
export type FromHost = z.infer<typeof fromHost>;

const ack = z.strictObject({
  type: z.literal("ack"),
  /** For the next constraint. */
  nonce,
  /** Sequence of the constraint that it answers; undefined on the greeting. */
  sequence: sequence.optional(),
  accepted: z.boolean(),
  reason: words.optional(),
});
const status = z.strictObject({
  type: z.literal("status"),
  /** Service that holds the GPU. */
  holder: words.optional(),
  /** True while the arbiter grants nothing because of a handoff. */
  closed: z.boolean(),
  gpu: z.enum(["known", "unknown", "absent"]),
  temperatureC: z.number().optional(),
});
const released = z.strictObject({
  type: z.literal("released"),
  /** Of the request that it answers. */
  id,
  /** The fencing token after which nothing was granted. */
  token: z.number().int().nonnegative(),
  /** For so long the arbiter promises to grant nothing, ms, counted from when this was sent. */
  validMs: z.number().int().min(1).max(mostReleaseMs),
});
const refused = z.strictObject({ type: z.literal("refused"), id, reason: words });
/** Answers `takeBack`: no promise of that id holds any more, and no release of it follows. */
const takenBack = z.strictObject({ type: z.literal("takenBack"), id });

/** What the arbiter may say. */
export const fromArbiter = z.discriminatedUnion("type", [ack, status, released, refused, takenBack]);
export type FromArbiter = z.infer<typeof fromArbiter>;
export type ArbiterStatus = Omit<Extract<FromArbiter, { type: "status" }>, "type">;
export type HostConstraint = Omit<Extract<FromHost, { type: "constraint" }>, "type" | "sequence" | "nonce" | "validMs">;

/** One message as a line. Throws when it would be too long: a mistake of ours, never of the peer. */
export function encodeFrame(message: FromHost | FromArbiter): string {
  const line = `${JSON.stringify(message)}\n`;
  if (Buffer.byteLength(line) > mostFrameBytes) throw new RangeError(`a frame of ${String(line.length)} characters`);
  return line;
}

/** Why a peer's bytes are not believed. */
export type FrameFault = "too long" | "not JSON" | "not a message" | "too many";
export type Frame<T> = { readonly ok: true; readonly message: T } | { readonly ok: false; readonly fault: FrameFault };

/** Cuts a stream of bytes into messages, keeping at most one frame in memory. After a fault it yields nothing more. */
export class FrameReader<T> {
  readonly #schema: z.core.$ZodType<T>;
  #rest: Buffer = Buffer.alloc(0);
  #broken = false;

  constructor(schema: z.core.$ZodType<T>) {
    this.#schema = schema;
  }

  push(chunk: Buffer): Frame<T>[] {
    const frames: Frame<T>[] = [];
    if (this.#broken) return frames;
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (!this.#broken) {
      const end = this.#rest.indexOf(0x0a);
      if ((end === -1 ? this.#rest.length : end + 1) > mostFrameBytes) frames.push(this.#fail("too long"));
      else if (end === -1) break;
      else {
        const line = this.#rest.subarray(0, end).toString("utf8");
        this.#rest = this.#rest.subarray(end + 1);
        frames.push(this.#parse(line));
      }
    }
    if (this.#rest.length === 0) this.#rest = Buffer.alloc(0);
    return frames;
  }

  #parse(line: string): Frame<T> {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      return this.#fail("not JSON");
    }
    const parsed = z.safeParse(this.#schema, value);
    return parsed.success ? { ok: true, message: parsed.data } : this.#fail("not a message");
  }

  #fail(fault: FrameFault): Frame<T> {
    this.#broken = true;
    this.#rest = Buffer.alloc(0);
    return { ok: false, fault };
  }
}

/** Lets `perSecond` messages through on average and `burst` at once. Time is passed in: any monotonic clock, ms. */
export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #lastMs: number;

  constructor(perSecond: number, burst: number, nowMs: number) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = burst;
    this.#lastMs = nowMs;
  }

  take(nowMs: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, nowMs - this.#lastMs) * this.#perMs);
    this.#lastMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
