// Property values as the engine sends them: secrets and assets are objects with a signature (pulumi sdk, resource/plugin/rpc.go).
const signatureKey = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";
const assetSignature = "c44067f5952c0a294b673a41bacd8c17";
const archiveSignature = "0def7320c3a5731c473e5ecbe6d01bc7";
const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

export type Properties = Record<string, unknown>;

export function isObject(value: unknown): value is Properties {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function signatureOf(value: unknown): unknown {
  return isObject(value) ? value[signatureKey] : undefined;
}

/** The value without any secret wrapping, at any depth. */
export function plain(value: unknown): unknown {
  if (signatureOf(value) === secretSignature && isObject(value)) return plain(value["value"]);
  if (Array.isArray(value)) return value.map(plain);
  if (isObject(value)) return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, plain(entry)]));
  return value;
}

export function hasSecret(value: unknown): boolean {
  if (signatureOf(value) === secretSignature) return true;
  if (Array.isArray(value)) return value.some(hasSecret);
  return isObject(value) && Object.values(value).some(hasSecret);
}

export function hasUnknown(value: unknown): boolean {
  if (value === unknownValue) return true;
  if (Array.isArray(value)) return value.some(hasUnknown);
  return isObject(value) && Object.values(value).some(hasUnknown);
}

/** Wraps once; a value that is a secret already stays as it is. */
export function secret(value: unknown): unknown {
  return signatureOf(value) === secretSignature ? value : { [signatureKey]: secretSignature, value };
}

/** All secret strings below `value`, for keeping them out of messages. */
export function secretTexts(value: unknown, inside = false): string[] {
  if (signatureOf(value) === secretSignature && isObject(value)) return secretTexts(value["value"], true);
  if (typeof value === "string") return inside && value.length >= 4 ? [value] : [];
  if (Array.isArray(value)) return value.flatMap((entry) => secretTexts(entry, inside));
  return isObject(value) ? Object.values(value).flatMap((entry) => secretTexts(entry, inside)) : [];
}

/** Structural equality of plain values; assets and archives are equal when their hashes are. */
export function same(left: unknown, right: unknown): boolean {
  if (Object.is(left, right)) return true;
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((entry, index) => same(entry, right[index]));
  }
  if (!isObject(left) || !isObject(right))
    return (left ?? undefined) === undefined && (right ?? undefined) === undefined;
  const leftHash = left["hash"];
  if (isSource(left) && isSource(right) && typeof leftHash === "string" && leftHash !== "")
    return leftHash === right["hash"];
  return [...new Set([...Object.keys(left), ...Object.keys(right)])].every((key) => same(left[key], right[key]));
}

function isSource(value: Properties): boolean {
  return value[signatureKey] === assetSignature || value[signatureKey] === archiveSignature;
}

export type Source =
  | { kind: "text"; text: string }
  | { kind: "path"; path: string }
  | { kind: "assets"; entries: [string, Source][] }
  | { kind: "unsupported"; why: string };

/** Reads an asset or an archive; undefined when the value is neither. */
export function sourceOf(value: unknown): Source | undefined {
  if (!isObject(value) || !isSource(value)) return undefined;
  if (typeof value["path"] === "string" && value["path"] !== "") return { kind: "path", path: value["path"] };
  if (typeof value["uri"] === "string" && value["uri"] !== "")
    return { kind: "unsupported", why: "assets by URI are not fetched by this provider" };
  if (value[signatureKey] === assetSignature)
    return { kind: "text", text: typeof value["text"] === "string" ? value["text"] : "" };
  const entries = Object.entries(isObject(value["assets"]) ? value["assets"] : {}).flatMap(
    ([name, entry]): [string, Source][] => {
      const source = sourceOf(entry);
      return source === undefined ? [] : [[name, source]];
    },
  );
  return { kind: "assets", entries };
}
