// Keys of the lab's SSH side: one client key, one host key for each machine, made once and kept 0600.
import { join } from "node:path";
import ssh2 from "ssh2";
import { privateFolder, readIfPresent, writeFileAtomic } from "./files.ts";

export interface KeyPair {
  /** OpenSSH private key, PEM. */
  privateKey: string;
  privateKeyFile: string;
  /** `ssh-ed25519 AAAA…`, without comment. */
  publicKey: string;
}

/**
 * A new ed25519 pair in OpenSSH form. The library's generator writes one key in some hundred malformed (it drops a
 * leading zero byte), so each is read back before it is used.
 */
export function generateKeyPair(): { privateKey: string; publicKey: string } {
  for (let tries = 0; tries < 50; tries += 1) {
    const made = ssh2.utils.generateKeyPairSync("ed25519");
    if (isUsable(made.private, made.public)) return { privateKey: made.private, publicKey: made.public.trim() };
  }
  throw new Error("no usable ed25519 key could be generated");
}

function isUsable(privateKey: string, publicKey: string): boolean {
  const parsed = ssh2.utils.parseKey(privateKey);
  if (parsed instanceof Error) return false;
  const data = Buffer.from(publicKey.split(" ")[1] ?? "", "base64");
  return data.length === 51 && parsed.getPublicSSH().equals(data); // 4+11 name, 4+32 key (RFC 8709)
}

/** Reads the ed25519 pair `name` from `folder`, or makes it; the private half appears last, so a kill leaves no half pair. */
export function ensureKeyPair(folder: string, name: string): KeyPair {
  privateFolder(folder);
  const privateKeyFile = join(folder, name);
  const publicKeyFile = `${privateKeyFile}.pub`;
  const storedPrivate = readIfPresent(privateKeyFile);
  const storedPublic = readIfPresent(publicKeyFile)?.trim();
  if (storedPrivate !== undefined && storedPublic !== undefined && isUsable(storedPrivate, storedPublic)) {
    return { privateKey: storedPrivate, privateKeyFile, publicKey: storedPublic };
  }
  const made = generateKeyPair();
  writeFileAtomic(publicKeyFile, `${made.publicKey}\n`, 0o644);
  writeFileAtomic(privateKeyFile, made.privateKey);
  return { ...made, privateKeyFile };
}
