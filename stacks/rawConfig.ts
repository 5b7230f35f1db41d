/** The stack's configuration as Pulumi stores it, and its faults as an error that Pulumi prints. */
import * as pulumi from "@pulumi/pulumi";
import { describeFault, type Fault } from "../components/shared/faults.ts";
import { configNamespace } from "../components/shared/genesisConfig.ts";
import { SecretText } from "../components/shared/secretText.ts";

/** Every fault of a configuration as one error that Pulumi prints without a stack trace. */
export function configError(subject: string, faults: readonly Fault[]): pulumi.RunError {
  const count = `${String(faults.length)} fault${faults.length === 1 ? "" : "s"}`;
  return new pulumi.RunError(
    `${subject}: ${count}\n${faults.map((fault) => `  - ${describeFault(fault)}`).join("\n")}`,
  );
}

/**
 * Whether a key (with namespace) is stored as a secret. The SDK has this function but does not declare its type.
 * Without it nothing counts as a secret, and the validation refuses rather than lets one pass in clear.
 */
function isConfigSecret(key: string): boolean {
  const told: unknown = Reflect.get(pulumi.runtime, "isConfigSecret");
  return typeof told === "function" && Reflect.apply(told, undefined, [key]) === true;
}

/** All keys of the project's namespace, without it; secrets wrapped. */
export function rawConfig(): Readonly<Record<string, unknown>> {
  const prefix = `${configNamespace}:`;
  const entries = Object.entries(pulumi.runtime.allConfig()).flatMap(([key, value]): [string, unknown][] => {
    if (!key.startsWith(prefix)) return [];
    return [[key.slice(prefix.length), isConfigSecret(key) ? new SecretText(value) : value]];
  });
  return Object.fromEntries(entries);
}
