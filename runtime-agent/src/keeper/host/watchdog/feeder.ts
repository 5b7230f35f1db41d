/** When heartbeats are due: asked after each completed decision loop, sent every period, one at a time; and the goodbye. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { HostConfig } from "../../../../../components/shared/agent/keeperConfig.ts";
import type { Clock } from "../../../shared/clock.ts";
import type { Log } from "../../../shared/log.ts";
import { readPskFile } from "../../link/psk.ts";
import { whichGoodbye, type Goodbye } from "./goodbye.ts";
import { createHeartbeat } from "./heartbeat.ts";

export interface Feeder {
  /** Sends a heartbeat when one is due, and waits for nothing. */
  feed(): void;
  /** Says goodbye, and feeds no more. Ends within 4 s, said or not, and throws nothing. */
  leave(): Promise<void>;
  close(): Promise<void>;
}

/** A goodbye by UDP may get lost. */
const goodbyes = 3;
const gapMs = 100;
/** Well below the unit's TimeoutStopSec. */
const leaveMs = 4000;

/**
 * The feeder of the configured watchdog, and one that does nothing where there is none. `loopMs` is how often it is
 * asked. @throws SecretFileError when the key cannot be used.
 */
export async function createFeeder(options: {
  readonly watchdog: HostConfig["watchdog"];
  readonly stateFolder: string;
  readonly loopMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** @default what systemd is about to do */
  readonly goodbye?: () => Promise<Goodbye>;
}): Promise<Feeder> {
  const { watchdog, clock, log } = options;
  const nothing = (): Promise<void> => Promise.resolve();
  if (watchdog === undefined) return { feed: () => undefined, leave: nothing, close: nothing };
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
  let sending: Promise<void> | undefined;
  let left = false;

  async function sayGoodbye(): Promise<void> {
    // The counters of what is under way are lower than the goodbye's.
    await sending;
    const word = await (options.goodbye ?? whichGoodbye)();
    let said = 0;
    for (let times = 0; times < goodbyes; times += 1) {
      if (times > 0) await sleep(gapMs);
      try {
        await heartbeat.send(word);
        said += 1;
      } catch (error) {
        log.warning("goodbye", { error });
      }
    }
    if (said > 0) log.notice("said goodbye to the ESP32", { word });
  }

  return {
    feed() {
      if (left || sending !== undefined || clock.monotonicMs() - sentMs < dueMs) return;
      sentMs = clock.monotonicMs();
      sending = heartbeat
        .send()
        .catch((error: unknown) => log.warning("heartbeat", { error }))
        .finally(() => (sending = undefined));
    },
    async leave() {
      left = true;
      const ended = new AbortController();
      const late = sleep(leaveMs, undefined, { signal: ended.signal }).catch(() => undefined);
      await Promise.race([sayGoodbye(), late]);
      ended.abort();
    },
    close: () => heartbeat.close(),
  };
}
