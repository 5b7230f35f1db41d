/** The public half of an SSH key, read from the private one: OpenSSH's file format holds it in clear. Pure. */

const magic = "openssh-key-v1\0";

/** Reads one length-prefixed field (RFC 4251, "string"). */
function field(bytes: Buffer, at: number): { readonly value: Buffer; readonly end: number } | undefined {
  if (at + 4 > bytes.length) return undefined;
  const end = at + 4 + bytes.readUInt32BE(at);
  return end > bytes.length ? undefined : { value: bytes.subarray(at + 4, end), end };
}

/** A comment that is taken along: one word of the kind that names a stack. Others, such as me@home, say too much. */
const name = /^[a-z0-9-]{1,80}$/;

/** The last of the fields of a private section: the key's comment. What follows is padding, 1, 2, 3 and so on. */
function commentOf(section: Buffer): string {
  let last: Buffer | undefined;
  // Two numbers of 4 bytes stand before the fields; a length never begins as the padding does.
  for (let at = 8; at < section.length && section[at] !== 1;) {
    const next = field(section, at);
    if (next === undefined) return "";
    [last, at] = [next.value, next.end];
  }
  return last?.toString("latin1") ?? "";
}

/**
 * The public key as a line of `authorized_keys`, `ssh-ed25519 AAAA…`, with the key's comment where that is one word of
 * lower-case letters, digits and dashes: the name of whom it was made for. Undefined when the text is no private key in
 * OpenSSH's format, or has a passphrase.
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
  const section = key && field(bytes, key.end);
  const comment = section === undefined ? "" : commentOf(section.value);
  const line = `${type.value.toString("latin1")} ${key?.value.toString("base64") ?? ""}`;
  return name.test(comment) ? `${line} ${comment}` : line;
}
