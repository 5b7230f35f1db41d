/** Stands for a value that only the update will know: a rule must neither judge it nor take it for absent. */
export const unknownYet: unique symbol = Symbol("unknown until update");

/** A fact of the plan: known, known to be absent (`undefined`), or not known before the update. */
export type Maybe<T> = T | undefined | typeof unknownYet;

/** Whether a fact is known to be there. */
export function isKnown<T>(fact: Maybe<T>): fact is T {
  return fact !== undefined && fact !== unknownYet;
}

/**
 * What is at a path of a resource's properties. Pulumi hands rules a proxy that throws where a value is unknown during
 * preview; here that becomes {@link unknownYet}, and so does everything below it.
 */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  let here: unknown = value;
  for (const key of path) {
    if (here === unknownYet) return unknownYet;
    if (typeof here !== "object" || here === null) return undefined;
    try {
      here = Reflect.get(here, key);
    } catch {
      return unknownYet;
    }
  }
  return here ?? undefined;
}

/** The number at a path; a value of another type counts as absent. */
export function numberAt(value: unknown, ...path: readonly (string | number)[]): Maybe<number> {
  const found = at(value, ...path);
  return found === unknownYet || typeof found === "number" ? found : undefined;
}

export function stringAt(value: unknown, ...path: readonly (string | number)[]): Maybe<string> {
  const found = at(value, ...path);
  return found === unknownYet || typeof found === "string" ? found : undefined;
}

export function booleanAt(value: unknown, ...path: readonly (string | number)[]): Maybe<boolean> {
  const found = at(value, ...path);
  return found === unknownYet || typeof found === "boolean" ? found : undefined;
}

/** The elements of the list at a path, each read by itself: one unknown element leaves the others known. */
export function listAt(value: unknown, ...path: readonly (string | number)[]): Maybe<readonly unknown[]> {
  const found = at(value, ...path);
  if (found === unknownYet) return unknownYet;
  if (!Array.isArray(found)) return undefined;
  const length = numberAt(found, "length");
  return isKnown(length) ? Array.from({ length }, (_, index) => at(found, index)) : [];
}

/** The strings of the list at a path. */
export function stringsAt(value: unknown, ...path: readonly (string | number)[]): Maybe<readonly Maybe<string>[]> {
  const found = listAt(value, ...path);
  return isKnown(found) ? found.map((_, index) => stringAt(found, index)) : found;
}

/** The names of the properties of an object, or none. */
export function keysOf(value: unknown): readonly string[] {
  return typeof value === "object" && value !== null ? Object.keys(value) : [];
}
