/**
 * One line of the journal: the CRC-32 of the JSON's bytes in eight hex digits, a space, the JSON, a line feed. JSON
 * holds no raw line feed, so a damaged line never hides its neighbours for longer than one line feed.
 */
import { crc32 } from "node:zlib";

/** Longest line that is written or believed, bytes. */
export const longestLineBytes = 1024 * 1024;
const headBytes = 9;

/** The line of an entry, line feed included. Throws when it is too long or cannot be written as a JSON object. */
export function encodeLine(entry: object): Buffer {
  const json = Buffer.from(JSON.stringify(entry), "utf8");
  if (json.length + headBytes + 1 > longestLineBytes) {
    throw new RangeError(`a journal entry of ${String(json.length)} bytes; at most ${String(longestLineBytes)}`);
  }
  if (json[0] !== 0x7b) throw new TypeError("a journal entry must be an object");
  return Buffer.concat([Buffer.from(`${crc32(json).toString(16).padStart(8, "0")} `, "latin1"), json, Buffer.of(0x0a)]);
}

export type DecodedLine =
  | { readonly ok: true; readonly value: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly reason: string };

function damaged(reason: string): DecodedLine {
  return { ok: false, reason };
}

/** The entry of a line without its line feed, or why it is not believed. Never throws. */
export function decodeLine(line: Buffer): DecodedLine {
  if (line.length > longestLineBytes) return damaged("longer than any line that is written");
  const head = line.subarray(0, headBytes).toString("latin1");
  if (!/^[0-9a-f]{8} $/.test(head)) return damaged("no checksum");
  const json = line.subarray(headBytes);
  if (crc32(json) !== Number.parseInt(head, 16)) return damaged("checksum differs");
  try {
    const value: unknown = JSON.parse(json.toString("utf8"));
    if (typeof value !== "object" || value === null || Array.isArray(value)) return damaged("not an object");
    return { ok: true, value: { ...value } };
  } catch {
    return damaged("not JSON");
  }
}
