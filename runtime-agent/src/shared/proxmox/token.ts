import { readSecretFile } from "../secretFile.ts";

/**
 * Reads an API token, one line `user@realm!name=uuid`, from a file that only its owner can read.
 * @throws SecretFileError
 */
export function readTokenFile(file: string): Promise<string> {
  const form = /^[^\s@!:=]{1,64}@[A-Za-z][\w.-]{1,32}![A-Za-z][\w.-]{1,127}=[0-9a-fA-F-]{36}$/;
  return readSecretFile(
    file,
    (text) => (form.test(text) ? text : undefined),
    "is not one line user@realm!name=uuid. Copy it as `pveum user token add` shows it.",
  );
}
