/** Files that hold one secret: readable by their owner alone, or refused. */
import { open } from "node:fs/promises";

/** Why such a file is refused. Never holds any of its content. */
export class SecretFileError extends Error {
  constructor(file: string, why: string) {
    super(`${file}: ${why}`);
    this.name = "SecretFileError";
  }
}

/** More than the longest key or token. */
const mostBytes = 512;

/**
 * Reads a secret and checks its form.
 * @param decode gives the secret, or undefined where the text, trimmed, is of another form
 * @param otherwise what is said then: "is not … Do …"
 * @param most more than the longest form, bytes, so that a longer text is cut and then of no form
 * @throws SecretFileError when the file is missing, readable by others, or of another form
 */
export async function readSecretFile<T>(
  file: string,
  decode: (text: string) => T | undefined,
  otherwise: string,
  most = mostBytes,
): Promise<T> {
  // One handle for both, so that what is judged is what is read.
  const handle = await open(file, "r").catch((error: unknown) => {
    throw new SecretFileError(
      file,
      error instanceof Error && "code" in error ? String(error.code) : "cannot be opened",
    );
  });
  try {
    const { mode } = await handle.stat();
    if ((mode & 0o077) !== 0) throw new SecretFileError(file, "others can read it; allowed: mode 0600. Run chmod 600.");
    const buffer = Buffer.alloc(most);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
    const secret = decode(buffer.toString("utf8", 0, bytesRead).trim());
    buffer.fill(0);
    if (secret === undefined) throw new SecretFileError(file, otherwise);
    return secret;
  } finally {
    await handle.close();
  }
}
