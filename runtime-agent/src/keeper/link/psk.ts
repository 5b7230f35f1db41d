/**
 * The secret that both sides share, and the TLS settings built on it. TLS 1.2 with ECDHE-PSK and ChaCha20-Poly1305:
 * each side proves that it knows the key, a recorded stream cannot be played again, and a key that leaks later opens
 * no old recording (RFC 8442, RFC 7905). There are no certificates to renew.
 */
import { timingSafeEqual } from "node:crypto";
import { readSecretFile } from "../../shared/secretFile.ts";
import { edition } from "./protocol.ts";

const keyBytes = 32;
const identity = "hive-keeper-host";
const common = {
  minVersion: "TLSv1.2" as const,
  maxVersion: "TLSv1.2" as const,
  ciphers: "ECDHE-PSK-CHACHA20-POLY1305",
  ALPNProtocols: [edition],
};

/**
 * Reads the pre-shared key: 64 hexadecimal digits (32 random bytes: `openssl rand -hex 32`) in a file that only its
 * owner can read.
 * @throws SecretFileError
 */
export function readPskFile(file: string): Promise<Buffer> {
  return readSecretFile(file, decodeKey, "is not 64 random hexadecimal digits. Write it with `openssl rand -hex 32`.");
}

/** One byte repeated is how a placeholder looks. */
function decodeKey(text: string): Buffer | undefined {
  if (!/^[0-9a-fA-F]{64}$/.test(text)) return undefined;
  const key = Buffer.from(text, "hex");
  return timingSafeEqual(key, Buffer.alloc(keyBytes, key[0])) ? undefined : key;
}

/** TLS settings of the arbiter, which listens. */
export function serverTls(key: Buffer) {
  return {
    ...common,
    pskCallback: (_socket: unknown, offered: string): Buffer | null => (offered === identity ? key : null),
  };
}

/** TLS settings of the host side, which connects. */
export function clientTls(key: Buffer) {
  return {
    ...common,
    pskCallback: () => ({ psk: key, identity }),
    // There is no certificate to check: knowing the key is the identity.
    checkServerIdentity: () => undefined,
  };
}
