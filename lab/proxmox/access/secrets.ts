/** Secrets at rest: only salted hashes are stored, and every comparison takes constant time. */
import { createHmac, randomBytes, scryptSync, timingSafeEqual } from "node:crypto";

/** scrypt with a small work factor: the lab's secrets are 122-bit random, not words a person chose. */
const COST = { N: 1024, r: 8, p: 1 } as const;

export function hashSecret(secret: string, salt: string = randomBytes(16).toString("hex")): string {
  return `scrypt:${salt}:${scryptSync(secret, salt, 32, COST).toString("hex")}`;
}

export function verifySecret(secret: string, stored: string): boolean {
  const [scheme, salt, digest] = stored.split(":");
  if (scheme !== "scrypt" || salt === undefined || digest === undefined) return false;
  const wanted = Buffer.from(digest, "hex");
  const got = scryptSync(secret, salt, 32, COST);
  return wanted.length === got.length && timingSafeEqual(wanted, got);
}

export function constantTimeEqual(a: string, b: string): boolean {
  const left = createHmac("sha256", "compare").update(a).digest();
  const right = createHmac("sha256", "compare").update(b).digest();
  return timingSafeEqual(left, right);
}

export function sign(key: string, text: string): string {
  return createHmac("sha256", key).update(text).digest("base64url");
}
