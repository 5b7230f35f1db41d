import type { Checked } from "../faults.ts";
import { configFaults } from "./configFaults.ts";
import { crossFaults } from "./crossChecks.ts";
import type { KeeperConfig } from "./keeperConfig.ts";
import { keeperConfigSchema } from "./keeperConfig.ts";
import { parseYaml } from "./parseYaml.ts";

/** Checks a configuration that has been read already (from YAML, or from a program). Never throws. */
export function checkKeeperConfig(raw: unknown): Checked<KeeperConfig> {
  const parsed = keeperConfigSchema.safeParse(raw, { reportInput: true, jitless: true });
  const faults = [...(parsed.success ? [] : configFaults(parsed.error.issues)), ...crossFaults(raw)];
  if (parsed.success && faults.length === 0) return { ok: true, value: parsed.data };
  return { ok: false, faults };
}

/** Reads `keeper.yaml`: every fault at once, no value that may be a secret among them. Never throws. */
export function parseKeeperConfig(text: string): Checked<KeeperConfig> {
  const read = parseYaml(text);
  return read.ok ? checkKeeperConfig(read.value) : read;
}
