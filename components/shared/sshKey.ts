/** The public half of an SSH key, read from the private one: OpenSSH's file format holds it in clear. Pure. */

const magic = "openssh-key-v1\0";

/** Reads one length-prefixed field (RFC 4251, "string"). */
function field(bytes: Buffer, at: number): { readonly value: Buffer; readonly end: number } | undefined {
  if (at + 4 > bytes.length) return undefined;
  const end = at + 4 + bytes.readUInt32BE(at);
  return end > bytes.length ? undefined : { value: bytes.subarray(at + 4, end), end };
}

/**
 * The public key as a line of `authorized_keys` without a comment, `ssh-ed25519 AAAA…`; undefined when the text is no
 * private key in OpenSSH's format, or has a passphrase.
 */
export function publicKeyOf(privateKey: string): string | undefined {
  const [, body] =
    /^-----BEGIN OPENSSH PRIVATE KEY-----\s([A-Za-z0-9+/=\s]+)-----END OPENSSH PRIVATE KEY-----\s*$/.exec(privateKey) ??
    [];
  const bytes = Buffer.from(body ?? "", "base64");
  if (!bytes.subarray(0, magic.length).equals(Buffer.from(magic, "latin1"))) return undefined;
  const cipher = field(bytes, magic.length);
  const kdf = cipher && field(bytes, cipher.end);
  const kdfOptions = kdf && field(bytes, kdf.end);
  // The number of keys, 4 bytes, stands before the first one.
  const key = kdfOptions && field(bytes, kdfOptions.end + 4);
  const type = key && field(key.value, 0);
  if (type === undefined || cipher?.value.toString("latin1") !== "none") return undefined;
  return `${type.value.toString("latin1")} ${key?.value.toString("base64") ?? ""}`;
}
