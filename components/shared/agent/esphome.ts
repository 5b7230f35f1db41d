/**
 * Firmware configuration of the ESP32 watchdog for ESPHome, rendered from the stack's settings. Secrets stay in
 * ESPHome's own `secrets.yaml`: `wifi_ssid`, `wifi_password`, `watchdog_api_key`, `watchdog_ota_password`, and
 * `watchdog_key`, the 64 hexadecimal digits that the Keeper has in its key file.
 *
 * A heartbeat is one line, `hive1 COUNTER MAC`: MAC is the HMAC-SHA256 over `hive1 COUNTER` in hexadecimal, its key the
 * text of `watchdog_key`. The counter only rises, so a recorded heartbeat is worth nothing; flash keeps it to within a
 * minute, which is what a recording can win by restarting the ESP32.
 */
import type { Checked, Fault } from "../faults.ts";
import { checked, checkForm, checkWhole, dnsLabel, fault } from "../check.ts";
import type { WatchdogTimes } from "./watchdogRules.ts";
import {
  checkWatchdogTimes,
  defaultWatchdogTimes,
  flashSec,
  watchdogCode,
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
  readonly times?: Partial<WatchdogTimes>;
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

/** The line is judged here; a wrong one changes nothing. Lengths are bounded before anything is parsed. */
const judge = (beat: string): string =>
  `
if (line.size() < 72 || line.size() > 100 || line.compare(0, 6, "hive1 ") != 0) return;
size_t gap = line.find(' ', 6);
if (gap == std::string::npos || gap - 6 > 16 || line.size() - gap - 1 != 64) return;
uint64_t shown = 0;
for (size_t i = 6; i < gap; i++) {
  if (line[i] < '0' || line[i] > '9') return;
  shown = shown * 10 + (line[i] - '0');
}
if (shown <= id(counter)) return;
// The Keeper signs with the digits in lower case, however they are written.
std::string key = "\${watchdog_key}";
for (char &digit : key) if (digit >= 'A' && digit <= 'F') digit += 'a' - 'A';
uint8_t mac[32];
mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), (const uint8_t *) key.data(), key.size(),
                (const uint8_t *) line.data(), gap, mac);
uint8_t different = 0;
for (int i = 0; i < 32; i++) {
  for (int half = 0; half < 2; half++) {
    const uint8_t nibble = half == 0 ? mac[i] >> 4 : mac[i] & 15;
    different |= line[gap + 1 + 2 * i + half] ^ (nibble < 10 ? '0' + nibble : 'a' + nibble - 10);
  }
}
if (different != 0) return;
id(counter) = shown;
if (shown >= id(counter_kept) + 60000) id(counter_kept) = shown;
const uint32_t now = millis();
${beat}`.trim();

const readSerial = `
uint8_t byte;
while (id(host_uart).available() > 0 && id(host_uart).read_byte(&byte)) {
  if (byte == '\\n') {
    const std::string line = id(line_buffer);
    id(line_buffer).clear();
    id(heartbeat).execute(line);
  } else if (id(line_buffer).size() < 128) {
    id(line_buffer).push_back((char) byte);
  }
}`.trim();

const describe = `
char text[120];
const uint32_t quiet = (millis() - id(quiet_since_ms)) / 1000;
snprintf(text, sizeof(text), "%s, last heartbeat or start %u s ago, %d reset(s)",
         id(locked) ? "locked out" : id(armed) ? "armed" : "waiting for the host", (unsigned) quiet, id(resets));
return std::string(text);`.trim();

function globals(): string {
  const rows = [
    ...watchdogVariables,
    { name: "counter", type: "uint64_t", initial: "0", kept: false },
    { name: "counter_kept", type: "uint64_t", initial: "0", kept: true },
    { name: "line_buffer", type: "std::string", initial: '""', kept: false },
  ];
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
  const times: WatchdogTimes = { ...defaultWatchdogTimes, ...settings.times };
  const code = watchdogCode(times);
  const cold = `
const esp_reset_reason_t why = esp_reset_reason();
const bool cold = why == ESP_RST_POWERON || why == ESP_RST_BROWNOUT || why == ESP_RST_EXT;
const uint32_t now = millis();
id(counter) = id(counter_kept);
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
${indent(lambda(judge(code.beat), 2), 6)}
  - id: press_reset
    mode: single
    then:
      # The counter of resets is in flash before the line is pulled.
      - delay: ${String(flashSec)}s
${indent(lambda(`const uint32_t now = millis();\n${code.press}\nid(quiet_since_ms) = now;`, 2), 6)}
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
