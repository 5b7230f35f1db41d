/** A new SSH key pair of ed25519 in OpenSSH's form (its PROTOCOL.key), without a passphrase and without a library's help. */
import { generateKeyPairSync, randomBytes } from "node:crypto";

export interface SshKeyPair {
  /** `-----BEGIN OPENSSH PRIVATE KEY-----`, ending in a line feed. */
  readonly privateKey: string;
  /** A line of `authorized_keys` without a comment: `ssh-ed25519 AAAA…`. */
  readonly publicKey: string;
}

const type = "ssh-ed25519";
/** Of the cipher `none`: what is encrypted is filled up to a multiple of it, bytes. */
const blockBytes = 8;

/** One length-prefixed field (RFC 4251, "string"). */
function field(value: Buffer | string): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** Makes a pair. ssh2's own generator writes one key in some hundred malformed: it drops a leading zero byte. */
export function newSshKeyPair(): SshKeyPair {
  const jwk = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  const [seed, point] = [Buffer.from(jwk.d ?? "", "base64url"), Buffer.from(jwk.x ?? "", "base64url")];
  const shown = Buffer.concat([field(type), field(point)]);
  // Twice the same number: whoever decrypts sees by it that the passphrase was right.
  const check = randomBytes(4);
  const secret = Buffer.concat([check, check, shown, field(Buffer.concat([seed, point])), field("")]);
  const filling = Buffer.from(Array.from({ length: -secret.length & (blockBytes - 1) }, (_, index) => index + 1));
  const one = Buffer.from([0, 0, 0, 1]);
  const whole = Buffer.concat([
    Buffer.from("openssh-key-v1\0", "latin1"),
    ...[field("none"), field("none"), field(""), one, field(shown), field(Buffer.concat([secret, filling]))],
  ]);
  const lines = whole.toString("base64").match(/.{1,70}/g) ?? [];
  return {
    privateKey: ["-----BEGIN OPENSSH PRIVATE KEY-----", ...lines, "-----END OPENSSH PRIVATE KEY-----", ""].join("\n"),
    publicKey: `${type} ${shown.toString("base64")}`,
  };
}
