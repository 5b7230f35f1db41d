import { open } from "node:fs/promises";

/** Why a token file is refused. Never holds any of its content. */
export class TokenFileError extends Error {
  constructor(file: string, why: string) {
    super(`${file}: ${why}`);
    this.name = "TokenFileError";
  }
}

/**
 * Reads an API token, one line `user@realm!name=uuid`, from a file that only its owner can read.
 * @throws TokenFileError when the file is missing, readable by others, or of another form.
 */
export async function readTokenFile(file: string): Promise<string> {
  const handle = await open(file, "r").catch((error: unknown) => {
    throw new TokenFileError(file, error instanceof Error && "code" in error ? String(error.code) : "cannot be opened");
  });
  try {
    const { mode } = await handle.stat();
    if ((mode & 0o077) !== 0) throw new TokenFileError(file, "others can read it; allowed: mode 0600. Run chmod 600.");
    const buffer = Buffer.alloc(512);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
    const token = buffer.toString("utf8", 0, bytesRead).trim();
    if (!/^[^\s@!:=]{1,64}@[A-Za-z][\w.-]{1,32}![A-Za-z][\w.-]{1,127}=[0-9a-fA-F-]{36}$/.test(token))
      throw new TokenFileError(
        file,
        "is not one line user@realm!name=uuid. Copy it as `pveum user token add` shows it.",
      );
    return token;
  } finally {
    await handle.close();
  }
}
