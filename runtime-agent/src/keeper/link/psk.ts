/**
 * The secret that both sides share, and the TLS settings built on it. TLS 1.2 with ECDHE-PSK and ChaCha20-Poly1305:
 * each side proves that it knows the key, a recorded stream cannot be played again, and a key that leaks later opens
 * no old recording (RFC 8442, RFC 7905). There are no certificates to renew.
 */
import { timingSafeEqual } from "node:crypto";
import { open } from "node:fs/promises";

const keyBytes = 32;
const identity = "hive-keeper-host";
const common = { minVersion: "TLSv1.2", maxVersion: "TLSv1.2", ciphers: "ECDHE-PSK-CHACHA20-POLY1305" } as const;

/** Why a key file is refused. Never holds any of its content. */
export class KeyFileError extends Error {
  constructor(file: string, why: string) {
    super(`${file}: ${why}`);
    this.name = "KeyFileError";
  }
}

/**
 * Reads the pre-shared key: 64 hexadecimal digits (32 random bytes: `openssl rand -hex 32`) in a file that only its
 * owner can read.
 * @throws KeyFileError when the file is missing, readable by others, or of another form.
 */
export async function readPskFile(file: string): Promise<Buffer> {
  // One handle for both, so that what is judged is what is read.
  const handle = await open(file, "r").catch((error: unknown) => {
    throw new KeyFileError(file, error instanceof Error && "code" in error ? String(error.code) : "cannot be opened");
  });
  try {
    const { mode } = await handle.stat();
    if ((mode & 0o077) !== 0) throw new KeyFileError(file, "others can read it; allowed: mode 0600. Run chmod 600.");
    const buffer = Buffer.alloc(2 * keyBytes + 3);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
    const text = buffer.toString("latin1", 0, bytesRead).trim();
    buffer.fill(0);
    if (!/^[0-9a-fA-F]{64}$/.test(text)) {
      throw new KeyFileError(file, "is not 64 hexadecimal digits. Write it with `openssl rand -hex 32`.");
    }
    const key = Buffer.from(text, "hex");
    if (timingSafeEqual(key, Buffer.alloc(keyBytes, key[0]))) {
      throw new KeyFileError(file, "is one byte repeated. Write it with `openssl rand -hex 32`.");
    }
    return key;
  } finally {
    await handle.close();
  }
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
