/** YAML of a configuration file as plain data, with every fault at its place. */
import { parseDocument } from "yaml";
import type { Checked, Fault } from "../faults.ts";

const mostCharacters = 1024 * 1024;

function refused(limit: string, fix: string): { readonly ok: false; readonly faults: readonly Fault[] } {
  return { ok: false, faults: [{ property: "(file)", limit, fix }] };
}

/** Reads YAML 1.2 without aliases. Never throws, and shows nothing of the text: it may hold a secret. */
export function parseYaml(text: string): Checked<unknown> {
  if (text.length > mostCharacters) return refused("at most 1 MiB of YAML", "Is this the right file?");
  try {
    const document = parseDocument(text, { prettyErrors: false, stringKeys: true, logLevel: "silent" });
    if (document.errors.length > 0) {
      return {
        ok: false,
        faults: document.errors.map((error) => {
          const before = text.slice(0, error.pos[0]).split("\n");
          const place = `line ${String(before.length)}, column ${String((before.at(-1)?.length ?? 0) + 1)}`;
          return { property: place, value: error.code, limit: "valid YAML 1.2", fix: "Correct the syntax there." };
        }),
      };
    }
    // Aliases are refused: a small file of them can stand for gigabytes.
    const value: unknown = document.toJS({ maxAliasCount: 0 });
    return { ok: true, value };
  } catch (error) {
    const reason = error instanceof ReferenceError ? "YAML without aliases" : "valid YAML 1.2";
    return refused(reason, "Write every value where it belongs.");
  }
}
