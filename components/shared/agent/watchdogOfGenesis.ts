/** The ESP32 of genesis: its two ends, the host side's section and the firmware, from one setting, `hive:keeper.watchdog`. */
import type { Checked } from "../faults.ts";
import { renderWatchdog } from "./esphome.ts";
import type { KeeperSettings } from "./keeperSettings.ts";

type Watchdog = NonNullable<KeeperSettings["watchdog"]>;

/** What the host side is told of it. */
export function watchdogSection({ firmware: _firmware, ...reached }: Watchdog, keyFile: string) {
  return { ...reached, keyFile };
}

/** The firmware for ESPHome, or every fault, properties as in the stack's settings. */
export function firmwareOf(watchdog: Watchdog): Checked<string> {
  const { name = "hive-watchdog", board, resetPin = 25, ...times } = watchdog.firmware ?? {};
  const rendered = renderWatchdog({
    name,
    ...(board === undefined ? {} : { board }),
    resetPin,
    heartbeat:
      watchdog.type === "serial"
        ? { type: "serial" }
        : { type: "udp", port: Number(watchdog.address.slice(watchdog.address.lastIndexOf(":") + 1)) },
    times: { ...times, periodSec: watchdog.periodSec },
  });
  if (rendered.ok) return rendered;
  return { ok: false, faults: rendered.faults.map((each) => ({ ...each, property: settingOf(each.property) })) };
}

/** The stack's setting behind a property of the firmware. */
function settingOf(property: string): string {
  if (property === "watchdog.heartbeat.port") return "keeper.watchdog.address";
  const name = property.replace(/^watchdog\.(?:times\.)?/, "");
  return name === "periodSec" ? "keeper.watchdog.periodSec" : `keeper.watchdog.firmware.${name}`;
}
