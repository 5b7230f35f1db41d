import { parseDocument } from "yaml";
import type { Checked, Fault } from "../faults.ts";
import { configFaults } from "./configFaults.ts";
import { crossFaults } from "./crossChecks.ts";
import type { KeeperConfig } from "./keeperConfig.ts";
import { keeperConfigSchema } from "./keeperConfig.ts";

const mostCharacters = 1024 * 1024;
const wholeFile = "(file)";

function refused(limit: string, fix: string): { readonly ok: false; readonly faults: readonly Fault[] } {
  return { ok: false, faults: [{ property: wholeFile, limit, fix }] };
}

/** Checks a configuration that has been read already (from YAML, or from a program). Never throws. */
export function checkKeeperConfig(raw: unknown): Checked<KeeperConfig> {
  const parsed = keeperConfigSchema.safeParse(raw, { reportInput: true, jitless: true });
  const faults = [...(parsed.success ? [] : configFaults(parsed.error.issues)), ...crossFaults(raw)];
  if (parsed.success && faults.length === 0) return { ok: true, value: parsed.data };
  return { ok: false, faults };
}

/** Reads `keeper.yaml`: every fault at once, no value that may be a secret among them. Never throws. */
export function parseKeeperConfig(text: string): Checked<KeeperConfig> {
  if (text.length > mostCharacters) return refused("at most 1 MiB of YAML", "Is this the right file?");
  let raw: unknown;
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
    raw = document.toJS({ maxAliasCount: 0 });
  } catch (error) {
    const reason = error instanceof ReferenceError ? "YAML without aliases" : "valid YAML 1.2";
    return refused(reason, "Write every value where it belongs.");
  }
  return checkKeeperConfig(raw);
}
