/** Secrets that can be recognised, planted where the lab keeps its own, and the search for them. */
import { generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { constants, gunzipSync, inflateSync, zstdDecompressSync } from "node:zlib";
import ssh2 from "ssh2";
import type { StateFolder } from "../../cli/targets/stateFolder.ts";

export interface Canary {
  readonly name: string;
  /** Texts of which none may appear: the value, and what it becomes on its way. */
  readonly forms: readonly string[];
}

function formsOf(text: string): string[] {
  const bytes = Buffer.from(text);
  return [text, bytes.toString("base64").replace(/=+$/, ""), bytes.toString("hex"), encodeURIComponent(text)];
}

/** An ed25519 pair with a comment that can be recognised: OpenSSH's own form, written out (PROTOCOL.key). */
function keyWithComment(comment: string): { privateKey: string; publicKey: string } {
  const text = (value: string | Buffer): Buffer => {
    const bytes = Buffer.from(value);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  const jwk = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  const open = Buffer.from(jwk.x ?? "", "base64url");
  const secret = Buffer.from(jwk.d ?? "", "base64url");
  const blob = Buffer.concat([text("ssh-ed25519"), text(open)]);
  const check = randomBytes(4);
  const inner = Buffer.concat([check, check, blob, text(Buffer.concat([secret, open])), text(comment)]);
  const padding = Buffer.from(Array.from({ length: (8 - (inner.length % 8)) % 8 }, (_, index) => index + 1));
  const none = Buffer.concat([text("none"), text("none"), text("")]);
  const count = Buffer.from([0, 0, 0, 1]);
  const all = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    none,
    count,
    text(blob),
    text(Buffer.concat([inner, padding])),
  ]);
  const lines = all.toString("base64").match(/.{1,70}/g) ?? [];
  const privateKey = `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join("\n")}\n-----END OPENSSH PRIVATE KEY-----\n`;
  const parsed = ssh2.utils.parseKey(privateKey);
  if (parsed instanceof Error) throw parsed;
  return { privateKey, publicKey: `ssh-ed25519 ${blob.toString("base64")}` };
}

/** Files that hold the secrets by their purpose, each 0600, below the state folder. */
export const keepers: readonly string[] = ["host/token", "host/keys/client", "passphrase"];

/** Puts canaries into the files from which the lab and the command line take their secrets, before they make their own. */
export function plantCanaries(folder: StateFolder): readonly Canary[] {
  const token = randomUUID();
  const passphrase = `canary-passphrase-${randomBytes(16).toString("hex")}`;
  const comment = `canary-comment-${randomBytes(8).toString("hex")}`;
  const { privateKey, publicKey } = keyWithComment(comment);
  const keys = join(folder.lab, "keys");
  mkdirSync(keys, { recursive: true, mode: 0o700 });
  const put = (file: string, text: string): void => writeFileSync(file, text, { mode: 0o600 });
  put(join(folder.lab, "token"), `hive@pve!pulumi=${token}\n`);
  put(join(keys, "client"), privateKey);
  put(join(keys, "client.pub"), `${publicKey}\n`);
  put(folder.passphraseFile, passphrase);
  // The first lines hold the public key as well; the secret half and the comment stand in the last ones.
  const body = privateKey.split("\n").slice(-5, -2);
  return [
    { name: "API token", forms: formsOf(token) },
    { name: "passphrase", forms: formsOf(passphrase) },
    { name: "SSH key", forms: body.flatMap((line) => [line, ...formsOf(line)]) },
    { name: "SSH key's comment", forms: formsOf(comment) },
  ];
}

/** The names of the canaries in a text. */
export function canariesIn(text: string, canaries: readonly Canary[]): string[] {
  return canaries.filter(({ forms }) => forms.some((form) => text.includes(form))).map(({ name }) => name);
}

/** What a search has looked at; names are relative to its root. */
interface Searched {
  /** `FILE: CANARY`. */
  readonly found: readonly string[];
  readonly read: readonly string[];
  /** Those that were packed, and were searched unpacked as well. */
  readonly unpacked: readonly string[];
}

/**
 * Every regular file below a folder that holds a canary; device files and sockets are not read. Packed files are looked
 * into. The engine's logs of a stack (`PLOG`) are encrypted with the stack's own key, as its secrets are, and stay closed.
 */
export function filesWithCanaries(root: string, canaries: readonly Canary[]): Searched {
  const found: string[] = [];
  const read: string[] = [];
  const unpacked: string[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      const name = relative(root, path);
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile()) {
        const bytes = readFileSync(path);
        const inside = unpack(bytes);
        read.push(name);
        if (inside !== undefined) unpacked.push(name);
        const text = [bytes, ...(inside === undefined ? [] : [inside])]
          .map((part) => part.toString("latin1"))
          .join("\n");
        found.push(...canariesIn(text, canaries).map((canary) => `${name}: ${canary}`));
      }
    }
  };
  walk(root);
  return { found: found.toSorted(), read, unpacked };
}

/** What a packed file holds, told by its first bytes: gzip (RFC 1952), zlib (RFC 1950), zstd (RFC 8878). */
function unpack(bytes: Buffer): Buffer | undefined {
  if (bytes.length < 4) return undefined;
  // A file that is still written, or whose writer was killed, gives what it holds so far.
  const cut = { finishFlush: constants.Z_SYNC_FLUSH };
  try {
    if (bytes.readUInt16BE() === 0x1f8b) return gunzipSync(bytes, cut);
    if (bytes.readUInt32LE() === 0xfd2fb528) return zstdDecompressSync(bytes, { finishFlush: constants.ZSTD_e_flush });
    if ((bytes.readUInt8() & 0x0f) === 8 && bytes.readUInt16BE() % 31 === 0) return inflateSync(bytes, cut);
  } catch {
    // Only its first bytes look packed.
  }
  return undefined;
}

/** Watches the command lines of all processes until stopped; gives those with a canary. Linux: it reads /proc. */
export function watchArguments(canaries: readonly Canary[]): { stop: () => { seen: number; leaks: string[] } } {
  const seen = new Set<string>();
  const leaks = new Set<string>();
  const look = (): void => {
    if (!existsSync("/proc")) return;
    for (const name of readdirSync("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      let text = "";
      try {
        text = readFileSync(`/proc/${name}/cmdline`, "latin1");
      } catch {
        continue; // it has ended
      }
      seen.add(text);
      for (const canary of canariesIn(text, canaries)) leaks.add(`${canary}: ${text.split("\0")[0] ?? ""}`);
    }
  };
  const timer = setInterval(look, 50);
  return {
    stop: () => {
      clearInterval(timer);
      look();
      return { seen: seen.size, leaks: [...leaks] };
    },
  };
}
