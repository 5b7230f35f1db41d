import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { mkdir, stat } from "node:fs/promises";
import path from "node:path";
import { readFileIfPresent, writeFileAtomically } from "../stateFile.ts";
import type { Caller } from "./types.ts";

const form = /^[\w.~+/=-]{32,512}$/;

function digest(token: string): Buffer {
  return createHash("sha256").update(token, "utf8").digest();
}

/** Lowercase hex SHA-256 of a token, as `serviceTokenSha256` wants it. */
export function tokenSha256(token: string): string {
  return digest(token).toString("hex");
}

/**
 * The administrator's token. Made (32 random bytes, file 0600) when the file is missing, unreadable as a token, or open
 * to anybody but its owner: a token that others could read is no secret any more.
 */
export async function adminToken(file: string): Promise<string> {
  const text = (await readFileIfPresent(file))?.trim();
  if (text !== undefined && form.test(text) && ((await stat(file)).mode & 0o077) === 0) return text;
  const token = randomBytes(32).toString("base64url");
  await mkdir(path.dirname(file), { recursive: true, mode: 0o755 });
  await writeFileAtomically(file, `${token}\n`, 0o600);
  return token;
}

/** Recognises callers by their token, in a time that does not depend on which token comes how near. */
export function recogniser(
  admin: string,
  serviceTokenSha256: Readonly<Record<string, string>>,
): (authorization: string | undefined) => Caller | undefined {
  const known: readonly { readonly digest: Buffer; readonly caller: Caller }[] = [
    { digest: digest(admin), caller: { role: "admin" } },
    ...Object.entries(serviceTokenSha256).map(([service, hex]) => {
      if (!/^[0-9a-f]{64}$/.test(hex)) throw new RangeError(`token of ${service}: not a SHA-256 in lowercase hex`);
      return { digest: Buffer.from(hex, "hex"), caller: { role: "service" as const, service } };
    }),
  ];
  return (authorization) => {
    const shown = digest(/^Bearer ([\w.~+/=-]{1,512})$/.exec(authorization ?? "")?.[1] ?? "");
    let caller: Caller | undefined;
    for (const candidate of known) if (timingSafeEqual(candidate.digest, shown)) caller = candidate.caller;
    return caller;
  };
}
