/**
 * Firmware configuration of the ESP32 watchdog for ESPHome, rendered from the stack's settings. Secrets stay in
 * ESPHome's own `secrets.yaml`: `wifi_ssid`, `wifi_password`, `watchdog_api_key`, `watchdog_ota_password`, and
 * `watchdog_key`, the 64 hexadecimal digits that the Keeper has in its key file.
 */
import type { Checked, Fault } from "../faults.ts";
import { checked, checkForm, checkWhole, dnsLabel, fault } from "../check.ts";
import { judgeLine, readSerial } from "./watchdogLine.ts";
import type { SomeWatchdogTimes, WatchdogTimes } from "./watchdogRules.ts";
import {
  checkWatchdogTimes,
  flashSec,
  watchdogCode,
  watchdogState,
  watchdogTimes,
  watchdogVariables,
} from "./watchdogRules.ts";

export interface WatchdogSettings {
  /** Name of the device on the network, one DNS label. */
  readonly name: string;
  /** PlatformIO's name of the board. @default "esp32dev" */
  readonly board?: string;
  /** GPIO that drives the transistor or optocoupler across the reset header; high means pressed. */
  readonly resetPin: number;
  /** How heartbeats come: by the USB cable (UART0 of the board) or over the LAN. */
  readonly heartbeat:
    { readonly type: "serial"; readonly baud?: number } | { readonly type: "udp"; readonly port: number };
  readonly times?: SomeWatchdogTimes;
}

/** GPIOs of an ESP32 that are neither inputs only (34–39), flash (6–11), strapping pins (0, 2, 5, 12, 15) nor UART0. */
const resetPins: readonly number[] = [4, 13, 14, 16, 17, 18, 19, 21, 22, 23, 25, 26, 27, 32, 33];

function faultsOf(settings: WatchdogSettings, times: WatchdogTimes): readonly Fault[] {
  const { name, board, heartbeat, resetPin } = settings;
  const faults: Fault[] = [
    ...checkForm("watchdog.name", name, dnsLabel, "one DNS label", "Use lowercase letters, digits and dashes."),
    ...checkForm(
      "watchdog.board",
      board ?? "esp32dev",
      /^[a-z0-9][a-z0-9_-]{0,63}$/,
      "a board of PlatformIO",
      "See ESPHome's list of boards.",
    ),
    ...checkWatchdogTimes("watchdog.times", times),
  ];
  if (name.length > 31)
    faults.push(fault("watchdog.name", name, "at most 31 characters: ESPHome's limit", "Shorten it."));
  if (!resetPins.includes(resetPin))
    faults.push(fault("watchdog.resetPin", resetPin, resetPins.join(", "), "Other pins move while the chip starts."));
  if (heartbeat.type === "udp")
    faults.push(...checkWhole("watchdog.heartbeat.port", heartbeat.port, 1024, 65_535, "", "Write a free UDP port."));
  else
    faults.push(
      ...checkWhole("watchdog.heartbeat.baud", heartbeat.baud ?? 115_200, 1200, 921_600, "", "Write 115200."),
    );
  return faults;
}

const indent = (text: string, spaces: number): string =>
  text
    .split("\n")
    .map((line) => (line === "" ? line : " ".repeat(spaces) + line))
    .join("\n");
const lambda = (code: string, spaces: number): string => `- lambda: |-\n${indent(code, spaces + 4)}`;

const describe = `
char text[120];
const uint32_t quiet = (millis() - id(quiet_since_ms)) / 1000;
snprintf(text, sizeof(text), "%s, last word or start %u s ago, %d reset(s)",
         ${watchdogState}, (unsigned) quiet, id(resets));
return std::string(text);`.trim();

function globals(): string {
  const rows = [...watchdogVariables, { name: "line_buffer", type: "std::string", initial: '""', kept: false }];
  return rows
    .map(
      ({ name, type, initial, kept }) =>
        `  - id: ${name}\n    type: ${type}\n    initial_value: '${initial}'\n    restore_value: ${kept ? "yes" : "no"}`,
    )
    .join("\n");
}

function transport({ heartbeat }: WatchdogSettings): string {
  if (heartbeat.type === "udp") {
    const relay = "id(heartbeat).execute(std::string(data.begin(), data.end()));";
    return `
udp:
  port: ${String(heartbeat.port)}
  on_receive:
    then:
${indent(lambda(relay, 2), 6)}
`;
  }
  return `
# The board's own USB port: that is why the logger keeps off it.
uart:
  id: host_uart
  tx_pin: GPIO1
  rx_pin: GPIO3
  baud_rate: ${String(heartbeat.baud ?? 115_200)}
`;
}

/** The YAML, or every fault of the settings. */
export function renderWatchdog(settings: WatchdogSettings): Checked<string> {
  const times = watchdogTimes(settings.times ?? {});
  const code = watchdogCode(times);
  const cold = `
const esp_reset_reason_t why = esp_reset_reason();
const bool cold = why == ESP_RST_POWERON || why == ESP_RST_BROWNOUT || why == ESP_RST_EXT;
const uint32_t now = millis();
${code.boot}`.trim();
  const tick = `
bool fire = false;
const uint32_t now = millis();
${code.tick}
if (fire) id(press_reset).execute();`.trim();
  const serial =
    settings.heartbeat.type === "serial" ? `\n  - interval: 50ms\n    then:\n${indent(lambda(readSerial, 2), 6)}` : "";
  const yaml = `# Made by the Hive; changes here are lost. Freeze to reset: under 3 minutes. Secrets: secrets.yaml.
substitutions:
  watchdog_key: !secret watchdog_key

esphome:
  name: ${settings.name}
  includes:
    - <mbedtls/md.h>
    - <esp_system.h>
  on_boot:
    # After flash was read, before the first decision.
    priority: 200
    then:
${indent(lambda(cold, 2), 6)}

esp32:
  board: ${settings.board ?? "esp32dev"}
  framework:
    type: esp-idf

logger:
  baud_rate: 0

wifi:
  ssid: !secret wifi_ssid
  password: !secret wifi_password
  # Without a network it goes on watching.
  reboot_timeout: 0s

api:
  reboot_timeout: 0s
  encryption:
    key: !secret watchdog_api_key

ota:
  - platform: esphome
    password: !secret watchdog_ota_password

preferences:
  flash_write_interval: 1s

globals:
${globals()}
${transport(settings)}
switch:
  - platform: gpio
    id: reset_line
    internal: true
    pin: GPIO${String(settings.resetPin)}
    restore_mode: ALWAYS_OFF

script:
  - id: heartbeat
    parameters:
      line: string
    mode: single
    then:
${indent(lambda(judgeLine(code), 2), 6)}
  - id: press_reset
    mode: single
    then:
      # The counter of resets is in flash before the line is pulled.
      - delay: ${String(flashSec)}s
      - if:
          # Not when the host has spoken since.
          condition:
            lambda: 'return id(due);'
          then:
${indent(lambda(`const uint32_t now = millis();\n${code.press}\nid(quiet_since_ms) = now;`, 2), 12)}
            - delay: 100ms
            - lambda: global_preferences->sync();
            - switch.turn_on: reset_line
            - delay: ${String(times.pulseMs)}ms
            - switch.turn_off: reset_line

interval:
  - interval: 1s
    then:
${indent(lambda(tick, 2), 6)}${serial}

text_sensor:
  - platform: template
    name: Status
    update_interval: 10s
    lambda: |-
${indent(describe, 6)}

sensor:
  - platform: template
    name: Resets
    accuracy_decimals: 0
    update_interval: 10s
    lambda: 'return id(resets);'

button:
  - platform: template
    name: Clear lockout
    on_press:
${indent(lambda(`const uint32_t now = millis();\n${code.clear}`, 2), 6)}
`;
  return checked(faultsOf(settings, times), yaml);
}
