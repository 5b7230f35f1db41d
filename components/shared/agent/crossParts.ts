/** Building blocks of the rules between properties: they read the raw file and say nothing of what has no form. */
import { show } from "../check.ts";
import type { Fault } from "../faults.ts";

/** A mapping whose form nobody has checked. */
export type Raw = Readonly<Record<string, unknown>>;

/** The mapping that a value is; an empty one where it is none. */
export function mapping(value: unknown): Raw {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

/** The mappings of a list; no item where it is none. */
export function items(value: unknown): readonly Raw[] {
  return Array.isArray(value) ? value.map(mapping) : [];
}

/** The number that a value is, or another. */
export function numberOr(value: unknown, otherwise: number): number {
  return typeof value === "number" ? value : otherwise;
}

function given(raw: Raw, keys: readonly string[]): readonly string[] {
  return keys.filter((key) => raw[key] !== undefined);
}

/** Every item of a list after the first with the same value of a key. */
export function duplicates(property: string, list: readonly Raw[], key: string): Fault[] {
  const seen = new Set<unknown>();
  return list.flatMap((item, index) => {
    const value = item[key];
    if (value === undefined || !seen.has(value)) {
      seen.add(value);
      return [];
    }
    return [
      { property: `${property}[${String(index)}].${key}`, value: show(value), limit: "each once", fix: "Rename it." },
    ];
  });
}

/** The fault of a mapping that has not just one of some keys; with `least` 0 it may have none. */
export function exactlyOne(property: string, raw: Raw, keys: readonly string[], least: 0 | 1): Fault[] {
  const found = given(raw, keys);
  if (found.length <= 1 && found.length >= least) return [];
  return [
    {
      property,
      value: found.length === 0 ? `none of ${keys.join(", ")}` : found.join(" and "),
      limit: `${least === 0 ? "at most" : "exactly"} one of ${keys.join(", ")}`,
      fix: found.length === 0 ? "Write one of them." : "Keep one of them.",
    },
  ];
}
