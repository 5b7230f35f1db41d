import type { Fault } from "./faults.ts";
import { faultInWords } from "./check.ts";

/** An OpenSSH public key in one line (RFC 4253 blob in base64), with or without comment. */
export const publicKey =
  /^(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com) AAAA[A-Za-z0-9+/]{32,}={0,2}(?: [^\r\n]*)?$/;

const most = 32;

/** Every fault of the keys that may log in. `least`: how many there must be. */
export function checkPublicKeys(property: string, keys: readonly string[], least: 0 | 1): readonly Fault[] {
  if (keys.length < least || keys.length > most) {
    const limit = `${String(least)} to ${String(most)} SSH public keys`;
    return [faultInWords(property, `${String(keys.length)} keys`, limit, "Add the content of ~/.ssh/id_ed25519.pub.")];
  }
  return keys.flatMap((key, index) => {
    if (publicKey.test(key)) return [];
    // The value is never shown: a private key here is the mistake that happens.
    const given = `a text of ${String(key.length)} characters`;
    const limit = "an SSH public key in one line, such as ssh-ed25519 AAAA…";
    return [faultInWords(`${property}[${String(index)}]`, given, limit, "Copy the file that ends in .pub.")];
  });
}
