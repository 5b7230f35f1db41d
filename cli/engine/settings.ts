import { createHmac, timingSafeEqual } from "node:crypto";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { readIfThere, writeWhole } from "../targets/stateFolder.ts";
import type { Target } from "../targets/target.ts";

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function readRecord(text: string | undefined, decode: (text: string) => unknown): Record<string, unknown> {
  try {
    const content = text === undefined ? undefined : decode(text);
    return isRecord(content) ? content : {};
  } catch {
    return {};
  }
}

/** Which secrets of a target are not in its settings yet, or have another value there. */
export function staleSecrets(target: Target, settingsText: string | undefined): string[] {
  const { write } = target;
  if (write === undefined) return [];
  const stored = readRecord(settingsText, parse)["config"];
  const config = isRecord(stored) ? stored : {};
  const digests = readRecord(readIfThere(write.digestFile), JSON.parse);
  return Object.entries(write.secrets)
    .filter(([key, value]) => {
      const known = digests[key];
      const entry = config[key];
      return !(isRecord(entry) && typeof known === "string" && same(known, digest(write.digestKey, value)));
    })
    .map(([key]) => key);
}

/** Numbers and truth values as text, as the engine stores them: else it and we would rewrite the file in turn. */
const asStored = (plain: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(plain).map(([key, value]) => [
      key,
      typeof value === "number" || typeof value === "boolean" ? String(value) : value,
    ]),
  );

const digest = (key: string, value: string): string => createHmac("sha256", key).update(value).digest("hex");
const same = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));

/**
 * Brings the settings file of a target's stack in step with its configuration. Secrets go to the engine's standard
 * input, never to a command line, and are written again only when they changed.
 */
export async function writeSettings(
  target: Target,
  setSecret: (key: string, value: string) => Promise<void>,
): Promise<void> {
  const { write } = target;
  if (write === undefined) return;
  const file = join(target.workDir, `Pulumi.${target.stack}.yaml`);
  const text = readIfThere(file);
  const stale = staleSecrets(target, text);
  const settings = readRecord(text, parse);
  const stored = isRecord(settings["config"]) ? settings["config"] : {};
  const kept = Object.fromEntries(
    Object.entries(stored).filter(([key]) => key in write.secrets || write.kept?.includes(key) === true),
  );
  // The engine reads YAML 1.1, to which a time without quotes is no text.
  const next = stringify({ ...settings, config: { ...asStored(write.plain), ...kept } }, { version: "1.1" });
  if (next !== text) writeWhole(file, next);
  for (const key of stale) await setSecret(key, write.secrets[key] ?? "");
  if (stale.length === 0) return;
  const digests = Object.fromEntries(
    Object.entries(write.secrets).map(([key, value]) => [key, digest(write.digestKey, value)]),
  );
  writeWhole(write.digestFile, JSON.stringify(digests));
}
