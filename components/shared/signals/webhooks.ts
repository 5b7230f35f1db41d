/**
 * Signatures of Standard Webhooks (standard-webhooks.md 1.0, symmetric scheme `v1`): HMAC-SHA256 over
 * `id.timestamp.body`, in the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`. Pure.
 */
import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";

/** How far a signature's time may lie from the reader's clock, either way, s (the standard's own libraries: 300). */
export const toleranceSec = 300;
/** Longest `webhook-signature` that is looked at, characters, and the most signatures in it. */
const mostSignatureText = 1024;
const mostSignatures = 8;
/** Bytes of a secret (the standard: "between 24 bytes (192 bits) and 64 bytes (512 bits)"). */
const leastSecretBytes = 24;
const mostSecretBytes = 64;
const prefix = "whsec_";

/** A secret as bytes, or undefined where the text is not `whsec_` and the base64 of 24 to 64 bytes. */
export function decodeWebhookSecret(text: string): Buffer | undefined {
  if (!text.startsWith(prefix)) return undefined;
  const base64 = text.slice(prefix.length);
  const bytes = Buffer.from(base64, "base64");
  // Node reads past whatever is not base64: only a text that comes out again was one.
  if (bytes.toString("base64") !== base64) return undefined;
  return bytes.length >= leastSecretBytes && bytes.length <= mostSecretBytes ? bytes : undefined;
}

/** The text of a secret of 24 to 64 bytes. */
export function encodeWebhookSecret(bytes: Uint8Array): string {
  if (bytes.length < leastSecretBytes || bytes.length > mostSecretBytes)
    throw new RangeError(`a webhook secret of ${String(bytes.length)} bytes; allowed: 24 to 64`);
  return prefix + Buffer.from(bytes).toString("base64");
}

/** The signing secret that an agent begins its life with: both ends make it from the key that they share. */
export function firstWebhookSecret(key: Uint8Array): string {
  return encodeWebhookSecret(new Uint8Array(hkdfSync("sha256", key, Buffer.alloc(0), "hive signal v1", 32)));
}

function secretBytes(secret: string): Buffer {
  const bytes = decodeWebhookSecret(secret);
  // Never the text itself: it may be a secret in a wrong form.
  if (bytes === undefined) throw new RangeError("a webhook secret is whsec_ and the base64 of 24 to 64 bytes");
  return bytes;
}

function digest(id: string, timestamp: string, body: string | Uint8Array, secret: string): Buffer {
  return createHmac("sha256", secretBytes(secret)).update(`${id}.${timestamp}.`).update(body).digest();
}

export interface WebhookHeaders {
  readonly "webhook-id": string;
  /** Unix seconds. */
  readonly "webhook-timestamp": string;
  readonly "webhook-signature": string;
}

/**
 * The headers of a signed message. Sign with each secret while one takes the place of another.
 * @param id has no dot, so that where it ends is never in doubt
 */
export function signWebhook(
  id: string,
  timestampSec: number,
  body: string | Uint8Array,
  ...secrets: readonly [string, ...string[]]
): WebhookHeaders {
  if (id === "" || id.length > 256) throw new RangeError("a webhook id has 1 to 256 characters");
  if (!Number.isSafeInteger(timestampSec) || timestampSec < 0)
    throw new RangeError("a webhook's time is whole seconds");
  const timestamp = String(timestampSec);
  return {
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    "webhook-signature": secrets
      .map((secret) => `v1,${digest(id, timestamp, body, secret).toString("base64")}`)
      .join(" "),
  };
}

export type WebhookVerdict =
  | { readonly ok: true; readonly id: string; readonly timestampSec: number }
  /** `stale`: signed, but outside the window. All others say nothing of how near they came. */
  | { readonly ok: false; readonly reason: "unsigned" | "stale" | "forged" };

/**
 * Judges a message by its headers, as they arrived. Every secret and every signature is compared in full, so that the
 * time it takes depends on their number alone.
 * @param headers by lower-case name; what is missing, doubled or of another form is unsigned
 * @param secrets one, or two while the second takes the place of the first
 */
export function verifyWebhook(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
  body: string | Uint8Array,
  secrets: readonly string[],
  nowSec: number,
): WebhookVerdict {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature } = headers;
  if (typeof id !== "string" || typeof timestamp !== "string" || typeof signature !== "string")
    return { ok: false, reason: "unsigned" };
  // One way alone to write a number: another one would be another text under the same signature.
  const plain = /^(?:0|[1-9]\d{0,11})$/.test(timestamp);
  if (id === "" || id.length > 256 || !plain || signature.length > mostSignatureText)
    return { ok: false, reason: "unsigned" };
  const shown = signature
    .split(" ", mostSignatures)
    .map((part) => /^v1,([A-Za-z0-9+/]{43}=)$/.exec(part)?.[1])
    .filter((part) => part !== undefined)
    .map((part) => Buffer.from(part, "latin1"));
  if (shown.length === 0) return { ok: false, reason: "unsigned" };
  let signed = false;
  for (const secret of secrets) {
    // Compared as text: the last character of base64 has two bits to spare, and one signature would have four forms.
    const wanted = Buffer.from(digest(id, timestamp, body, secret).toString("base64"), "latin1");
    for (const one of shown) signed = timingSafeEqual(wanted, one) || signed;
  }
  if (!signed) return { ok: false, reason: "forged" };
  const timestampSec = Number(timestamp);
  if (Math.abs(nowSec - timestampSec) > toleranceSec) return { ok: false, reason: "stale" };
  return { ok: true, id, timestampSec };
}
