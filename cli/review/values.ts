import { redactCredentials } from "../../components/shared/credentials.ts";

/** Longest value that a review shows, in UTF-16 units. */
const maxValueLength = 120;

// Constants of Pulumi's wire protocol (`sdk/nodejs/runtime/rpc.ts`).
const signatureKey = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";
const unknownValues: ReadonlySet<unknown> = new Set([
  "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
  "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
  "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
  "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
  "030794c1-ac77-496b-92df-f27374a8bd58",
  "e48ece36-62e2-4504-bad9-02848725956a",
  "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
]);

const secretName = /pass(word|wd|phrase)|secret|token|private_?key|credential|api_?key/i;

/** A step of a property path: a name or an index. */
type Key = string | number;

/** Takes a path of the engine apart: `disks[0].size`, `tags["a.b"]`. */
export function parsePath(path: string): readonly Key[] {
  return [...path.matchAll(/\[(\d{1,9})\]|\["((?:[^"\\]|\\.)*)"\]|([^.[\]]+)/g)].map(([, index, quoted, name]) =>
    index === undefined ? (quoted?.replace(/\\(.)/g, "$1") ?? name ?? "") : Number(index),
  );
}

/** What is at a path, own properties only. */
export function valueAt(value: unknown, path: readonly Key[]): unknown {
  let here = value;
  for (const key of path) {
    if (typeof here !== "object" || here === null || !Object.hasOwn(here, key)) return undefined;
    here = Reflect.get(here, key);
  }
  return here;
}

/** A value as text for people, or `undefined` when there is none. Secrets and credentials are hidden, whole objects named. */
export function showValue(path: string, value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (unknownValues.has(value)) return "known after the update";
  if (secretName.test(path) || isSecret(value)) return "[secret]";
  if (typeof value === "string") return shorten(redactCredentials(JSON.stringify(value)));
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return Array.isArray(value) ? `${String(value.length)} item(s)` : "an object";
}

function isSecret(value: unknown): boolean {
  return value === "[secret]" || valueAt(value, [signatureKey]) === secretSignature;
}

/** Text cut to a length that a reader can take in; whole characters only. */
export function shorten(text: string, length = maxValueLength): string {
  if (text.length <= length) return text;
  return `${text.slice(0, length - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
