/**
 * `hive:keeper` of stack genesis: which release of the agent is installed, and what of its configuration does not follow
 * from the estate. Everything below has the form that the agent's own file has.
 */
import * as z from "zod";
import type { Fault } from "../faults.ts";
import { arbiterSection } from "./arbiterSection.ts";
import { configFaults } from "./configFaults.ts";
import { absolutePath, label, says, strict, text, whole } from "./configParts.ts";
import { crossFaults } from "./crossChecks.ts";
import { hostSection } from "./hostSection.ts";
import { keeperConfigSchema } from "./keeperConfig.ts";
import { mostPeriodSec } from "./watchdogRules.ts";

const periodSec = whole(1, mostPeriodSec, "Write seconds, well below the reset time.").optional();

/** In numbers, for the firewall of the agent's unit takes nothing else. */
const numericAddress = text(
  /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.]{2,45}\]):\d{1,5}$/,
  "address:port in numbers",
  'Write both, such as "192.168.1.60:6060".',
);

const seconds = whole(1, 86_400, "Write seconds.").optional();

/** What only the ESP32's firmware knows; its bounds are checked together, where it is rendered (`esphome.ts`). */
const firmware = strict({
  /** Its name on the network. @default "hive-watchdog" */
  name: label.optional(),
  /** PlatformIO's name of the board. @default "esp32dev" */
  board: text(/^[a-z0-9][a-z0-9_-]{0,63}$/, "a board of PlatformIO", "See ESPHome's list of boards.").optional(),
  /** GPIO that presses the reset button. @default 25 */
  resetPin: whole(0, 39, "Write the number of the GPIO.").optional(),
  /** Defaults of the times and what each means: `watchdogRules.ts`. */
  timeoutSec: seconds,
  bootGraceSec: seconds,
  shutdownSec: seconds,
  rearmSec: seconds,
  healthySec: seconds,
  pulseMs: whole(1, 86_400, "Write milliseconds.").optional(),
  maxResets: whole(1, 1000, "Write how often.").optional(),
}).optional();

/** The ESP32 without its key, which is the secret `keeperWatchdogKey`. */
const watchdog = z.discriminatedUnion(
  "type",
  [
    strict({ type: z.literal("serial"), device: absolutePath, periodSec, firmware }),
    strict({ type: z.literal("udp"), address: numericAddress, periodSec, firmware }),
  ],
  { error: says("serial or udp", "Write how the ESP32 is reached.") },
);

const { services, muse, scan, thermal, power } = arbiterSection.shape;
const { market, timeZone } = keeperConfigSchema.shape;
const { fingerprint } = hostSection.shape.proxmox.shape;
const { room } = hostSection.shape;

const keeperSection = strict({
  /** The agent's tarball on the machine that runs the engine. */
  tarball: text(/^[^\0\n\r]+\.tar\.gz$/, "the path of a file that ends in .tar.gz", "Write where the tarball is."),
  sha256: text(/^[0-9a-f]{64}$/, "64 hexadecimal digits", "Read it from the tarball's .sha256 file."),
  version: text(
    /^\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.-]+)?$/,
    "a version such as 1.4.0",
    "Write what the tarball's program reports.",
  ),
  /** What takes turns on the GPU. @default EVA, The Sentinel and The Muse as units of The Brain */
  services: services.optional(),
  timeZone: timeZone.optional(),
  market: market.optional(),
  muse: muse.optional(),
  scan: scan.optional(),
  thermal: thermal.optional(),
  power: power.optional(),
  watchdog: watchdog.optional(),
  room,
  /** Certificate of Proxmox where its own authority has not signed it. @default that authority */
  fingerprint,
  /** Public host key of The Brain. @default not checked */
  brainHostKey: text(
    /^(?:ssh-|ecdsa-)[a-z0-9-]+ AAAA[A-Za-z0-9+/]{32,}={0,2}(?: [^\r\n]*)?$/,
    "a public host key, such as ssh-ed25519 AAAA…",
    "Run `ssh-keyscan -t ed25519 ADDRESS` and compare it on the machine.",
  ).optional(),
  /** Longest wait for a healthy agent, s. @default 60 */
  healthSec: whole(5, 600, "Write seconds.").optional(),
});

/** The section as it is written; the agent's schema parses its units. */
export type KeeperSettings = z.input<typeof keeperSection>;

/** Where a property of the agent's configuration is in this section. */
export function keeperProperty(property: string): string {
  return `keeper.${property.replace(/^config\./, "").replace(/^(?:arbiter|host)\./, "")}`;
}

/** Every fault of the section, rules between its properties included. Properties are `keeper.services[0].vram`. */
export function keeperSettingsFaults(raw: unknown): readonly Fault[] {
  const parsed = keeperSection.safeParse(raw, { reportInput: true, jitless: true });
  const own = parsed.success ? [] : configFaults(parsed.error.issues);
  const given = typeof raw === "object" && raw !== null ? raw : {};
  const between = crossFaults({ arbiter: given, market: Reflect.get(given, "market") });
  return [...own, ...between].map((fault) => ({
    ...fault,
    property: fault.property === "(file)" ? "keeper" : keeperProperty(fault.property),
  }));
}

export function isKeeperSettings(raw: unknown): raw is KeeperSettings {
  return keeperSection.safeParse(raw, { jitless: true }).success;
}
