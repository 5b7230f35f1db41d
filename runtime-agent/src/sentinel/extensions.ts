/** What stands beside the delivery of signals, as the configuration asks for it. */
import type { SentinelConfig } from "../../../components/shared/agent/sentinelConfig.ts";
import type { Clock } from "../shared/clock.ts";
import type { Log } from "../shared/log.ts";
import type { Extension } from "./extension.ts";

export interface ExtensionParts {
  readonly config: SentinelConfig;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Opens every extension; each is loaded only where it is asked for. Throws when a secret that one needs cannot be read.
 */
export async function openExtensions({ config, clock, log }: ExtensionParts): Promise<readonly Extension[]> {
  const { startWatch } = await import("./watch/startWatch.ts");
  const registerWithinMs = config.leases.registerWithinMin * 60_000;
  return [await startWatch({ config: config.watch, log, registerWithinMs, wallMs: () => clock.wallMs() })];
}
