import { credentialByName, credentialKinds } from "../components/shared/credentials.ts";
import { at, keysOf, listAt, isKnown, stringAt, unknownYet } from "./facts.ts";

/** A credential somewhere in a resource's properties; never its value. */
export interface CredentialPlace {
  readonly path: string;
  readonly kind: string;
}

/** Depth and number of values that a scan looks at, so that no input makes it endless. */
const maxDepth = 16;
const maxValues = 50_000;

/**
 * Credentials in the strings of a value. `exempt` are dotted paths (a final `*` stands for any ending) that hold
 * secrets by design. Names of properties are scanned too, and tell a credential that has no form of its own.
 */
export function scanCredentials(value: unknown, exempt: readonly string[]): readonly CredentialPlace[] {
  const places: CredentialPlace[] = [];
  let left = maxValues;
  const visit = (here: unknown, path: string, name: string, depth: number): void => {
    if (here === unknownYet || left-- <= 0 || depth > maxDepth || isExempt(path, exempt)) return;
    if (typeof here === "string") {
      const kinds = credentialKinds(here);
      const byName = kinds.length > 0 ? undefined : credentialByName(name, here);
      for (const kind of byName === undefined ? kinds : [byName]) places.push({ path, kind });
      return;
    }
    const elements = listAt({ here }, "here");
    if (isKnown(elements)) {
      elements.forEach((element, index) => {
        visit(element, `${path}[${String(index)}]`, "", depth + 1);
      });
      return;
    }
    for (const key of keysOf(here)) {
      const named = credentialKinds(key);
      for (const kind of named) places.push({ path: `${path}.[name hidden]`, kind });
      const shown = named.length > 0 ? "[name hidden]" : key;
      visit(at(here, key), path === "" ? shown : `${path}.${shown}`, nameOf(here, key), depth + 1);
    }
  };
  visit(value, "", "", 0);
  return places;
}

/** What a property is called: by its key, or in a pair `{ name, value }` by its neighbour. */
function nameOf(object: unknown, key: string): string {
  const name = key === "value" ? stringAt(object, "name") : undefined;
  return isKnown(name) ? name : key;
}

function isExempt(path: string, exempt: readonly string[]): boolean {
  return exempt.some((entry) => (entry.endsWith("*") ? path.startsWith(entry.slice(0, -1)) : path === entry));
}
