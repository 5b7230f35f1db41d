/** When heartbeats are due: asked after each completed decision loop, sent every period, one at a time. */
import { join } from "node:path";
import type { HostConfig } from "../../../../../components/shared/agent/keeperConfig.ts";
import type { Clock } from "../../../shared/clock.ts";
import type { Log } from "../../../shared/log.ts";
import { readPskFile } from "../../link/psk.ts";
import { createHeartbeat } from "./heartbeat.ts";

export interface Feeder {
  /** Sends a heartbeat when one is due, and waits for nothing. */
  feed(): void;
  close(): Promise<void>;
}

/**
 * The feeder of the configured watchdog, and one that does nothing where there is none. `loopMs` is how often it is
 * asked. @throws KeyFileError when the key cannot be used.
 */
export async function createFeeder(options: {
  readonly watchdog: HostConfig["watchdog"];
  readonly stateFolder: string;
  readonly loopMs: number;
  readonly clock: Clock;
  readonly log: Log;
}): Promise<Feeder> {
  const { watchdog, clock, log } = options;
  if (watchdog === undefined) return { feed: () => undefined, close: () => Promise.resolve() };
  const heartbeat = createHeartbeat({
    target:
      watchdog.type === "serial"
        ? { type: "serial", device: watchdog.device, baud: watchdog.baud }
        : { type: "udp", ...watchdog.address },
    key: await readPskFile(watchdog.keyFile),
    clock,
    counterFile: join(options.stateFolder, "heartbeat"),
  });
  // Half a loop early rather than a whole one late.
  const dueMs = watchdog.periodSec * 1000 - options.loopMs / 2;
  let sentMs = Number.NEGATIVE_INFINITY;
  let sending = false;
  return {
    feed() {
      if (sending || clock.monotonicMs() - sentMs < dueMs) return;
      sentMs = clock.monotonicMs();
      sending = true;
      heartbeat
        .send()
        .catch((error: unknown) => log.warning("heartbeat", { error }))
        .finally(() => (sending = false));
    },
    close: () => heartbeat.close(),
  };
}
