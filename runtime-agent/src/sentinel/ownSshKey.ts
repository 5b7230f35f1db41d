/** The Sentinel's own SSH key: made at its first start, kept in its state, and told to nobody but by its public half. */
import { access, mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { publicKeyOf } from "../../../components/shared/sshKey.ts";
import type { Route } from "../shared/localApi/index.ts";
import { readSecretFile } from "../shared/secretFile.ts";
import { newSshKeyPair, type SshKeyPair } from "../shared/sshKeyPair.ts";
import { writeFileAtomically } from "../shared/stateFile.ts";

const mostKeyBytes = 16 * 1024;

/** Reads a private key in OpenSSH's form, without a passphrase. @throws SecretFileError */
export function readSshKey(file: string): Promise<SshKeyPair> {
  const decode = (text: string): SshKeyPair | undefined => {
    const publicKey = publicKeyOf(text);
    return publicKey === undefined ? undefined : { privateKey: `${text}\n`, publicKey };
  };
  const otherwise =
    "is not a private key of OpenSSH without a passphrase. Write it with `ssh-keygen -t ed25519 -N ''`.";
  return readSecretFile(file, decode, otherwise, mostKeyBytes);
}

/** The key of a file that is made (0600) where there is none. @throws SecretFileError where another one cannot be read */
export async function ownSshKey(file: string): Promise<SshKeyPair> {
  const isThere = await access(file).then(
    () => true,
    () => false,
  );
  if (!isThere) {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFileAtomically(file, newSshKeyPair().privateKey);
  }
  return readSshKey(file);
}

/** Where `hive agent new` learns which key an agent's server is to let in. */
export function sshKeyRoute({ publicKey }: SshKeyPair): Route {
  return { method: "GET", path: "/ssh-key", role: "admin", handle: () => ({ json: { publicKey } }) };
}
