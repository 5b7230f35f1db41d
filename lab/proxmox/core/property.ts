/** Proxmox's small languages: property strings, lists, sizes. Pure and total. */
import { createHash } from "node:crypto";

/** `a,b=c` → entries in order; the entry without a key is named `defaultKey`. */
export function parseProperty(value: string, defaultKey = ""): Record<string, string> {
  const out: Record<string, string> = {};
  for (const part of value.split(",")) {
    if (part === "") continue;
    const eq = part.indexOf("=");
    if (eq < 0) out[defaultKey] = part;
    else out[part.slice(0, eq)] = part.slice(eq + 1);
  }
  return out;
}

/** The inverse of {@link parseProperty}: the default key's value comes first and bare. */
export function formatProperty(parts: Record<string, string>, defaultKey = ""): string {
  const first = parts[defaultKey];
  const rest = Object.entries(parts)
    .filter(([key]) => key !== defaultKey)
    .map(([key, value]) => `${key}=${value}`);
  return (first === undefined ? rest : [first, ...rest]).join(",");
}

/** Lists as PVE::Tools::split_list reads them: comma, semicolon, NUL or white space between items. */
export function splitList(value: string | undefined): string[] {
  return value === undefined ? [] : value.split(/[,;\0\s]+/).filter((item) => item !== "");
}

/** A parameter that is repeated in the request arrives NUL-joined. */
export function splitRepeated(value: string | undefined): string[] {
  return value === undefined ? [] : value.split("\0").filter((item) => item !== "");
}

const UNIT: Record<string, number> = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 };

/** `32G` → bytes; undefined when it is no size. */
export function parseSize(value: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([KMGT]?)$/.exec(value);
  if (!match) return undefined;
  return Math.ceil(Number(match[1]) * (UNIT[match[2] ?? ""] ?? 1));
}

/** Bytes → the largest unit that divides them, as PVE::JSONSchema::format_size prints. */
export function formatSize(bytes: number): string {
  let value = bytes;
  for (const unit of ["", "K", "M", "G", "T"]) {
    if (unit === "T" || value % 1024 !== 0 || value === 0) return `${value}${unit}`;
    value /= 1024;
  }
  return String(bytes);
}

export function isTrue(value: string | undefined): boolean {
  return value !== undefined && /^(1|on|yes|true)$/i.test(value);
}

/** The digest Proxmox puts on a configuration, so that a writer notices another writer. */
export function sha1(text: string): string {
  return createHash("sha1").update(text).digest("hex");
}

export function configDigest(config: Record<string, string>, pending: Record<string, string> = {}): string {
  const lines = (part: Record<string, string>): string =>
    Object.keys(part)
      .sort()
      .map((key) => `${key}: ${part[key] ?? ""}`)
      .join("\n");
  return sha1(`${lines(config)}\n[PENDING]\n${lines(pending)}`);
}
