import type { Fault } from "../../components/shared/faults.ts";
import { configNamespace, parseGenesisConfig } from "../../components/shared/genesisConfig.ts";
import { wellFormedSecrets } from "../../components/shared/genesisSecrets.ts";
import { SecretText } from "../../components/shared/secretText.ts";
import type { Tracked } from "./tracked.ts";

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * What is missing or wrong in the settings file of stack genesis, before the engine or the host is asked anything. None
 * when an environment of Pulumi ESC may still bring values. Pure.
 */
export function unfinishedSettings(stack: string, tracked: Tracked, hasEnvironment: boolean): readonly Fault[] {
  if (stack !== "genesis" || hasEnvironment) return [];
  const raw: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(tracked.config)) {
    const [namespace, name] = key.includes(":") ? key.split(/:(.*)/s) : [tracked.project, key];
    if (namespace !== tracked.project || name === undefined || tracked.project !== configNamespace) continue;
    const isSecure = isRecord(value) && typeof value["secure"] === "string";
    raw[name] = isSecure ? new SecretText(wellFormedSecrets[name] ?? "") : value;
  }
  const parsed = parseGenesisConfig(raw);
  return parsed.ok ? [] : parsed.faults;
}
