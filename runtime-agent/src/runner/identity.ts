/** Who this runner is: its key, the secrets that it believes, its instance, the server's boot. */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunnerConfig } from "../../../components/shared/agent/runnerConfig.ts";
import { instanceId, sshHostKey, type Registration } from "../../../components/shared/signals/protocol.ts";
import { decodeWebhookSecret, firstWebhookSecret } from "../../../components/shared/signals/webhooks.ts";
import { readSecretFile } from "../shared/secretFile.ts";
import { readFileIfPresent, writeFileAtomically } from "../shared/stateFile.ts";

/** One byte repeated is how a placeholder looks. */
function decodeKey(text: string): Buffer | undefined {
  if (!/^[0-9a-fA-F]{64}$/.test(text)) return undefined;
  const key = Buffer.from(text, "hex");
  return timingSafeEqual(key, Buffer.alloc(key.length, key[0])) ? undefined : key;
}

/** @throws SecretFileError */
export function readAgentKey(file: string): Promise<Buffer> {
  return readSecretFile(file, decodeKey, "is not 64 random hexadecimal digits. Write what `hive agent new` minted.");
}

/**
 * The secrets in force, as `whsec_` texts.
 * @throws SecretFileError
 */
export async function readSecrets(
  { first, secretFiles }: RunnerConfig["signatures"],
  key: Buffer,
): Promise<readonly string[]> {
  const read = (file: string): Promise<string> =>
    readSecretFile(
      file,
      (text) => (decodeWebhookSecret(text) === undefined ? undefined : text),
      "is not whsec_ and the base64 of 24 to 64 bytes",
    );
  return [...(first ? [firstWebhookSecret(key)] : []), ...(await Promise.all(secretFiles.map(read)))];
}

/** The instance of this server: made at its first start, and kept. */
export async function ownInstance(stateFolder: string): Promise<string> {
  const file = join(stateFolder, "instance");
  const kept = instanceId.safeParse((await readFileIfPresent(file))?.trim());
  if (kept.success) return kept.data;
  const made = randomBytes(16).toString("hex");
  await mkdir(stateFolder, { recursive: true, mode: 0o700 });
  await writeFileAtomically(file, `${made}\n`);
  return made;
}

/**
 * The way by SSH as a registration tells it; undefined where signals do not come so.
 * @throws when the server's host key cannot be read: without it the Sentinel could trust nobody here
 */
export async function sshWay(ssh: RunnerConfig["ssh"]): Promise<Registration["ssh"]> {
  if (ssh === undefined) return undefined;
  const { address, user, hostKeyFile } = ssh;
  const [type = "", data = ""] = (await readFile(hostKeyFile, "utf8")).trim().split(/\s+/);
  const hostKey = sshHostKey.safeParse(`${type} ${data}`);
  if (!hostKey.success) throw new Error(`${hostKeyFile}: is not the public half of an SSH host key`);
  return { ...address, user, hostKey: hostKey.data };
}

/** Differs after each start of the kernel. */
export async function bootId(): Promise<string> {
  return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
}
