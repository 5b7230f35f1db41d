/**
 * What the Keeper says to the ESP32, one line each, and the C++ that judges it:
 *
 * - `hive1 COUNTER MAC`, a heartbeat;
 * - `hive1 rest COUNTER MAC` and `hive1 reboot COUNTER MAC`, goodbyes (`watchdogRules.ts` says what follows from them).
 *
 * MAC is the HMAC-SHA256 in hexadecimal over the line before it, so no word's can be used for another; its key is the
 * text of `watchdog_key`. The counter is one for all words and only rises, so a recorded line is worth nothing. Flash
 * keeps it to within a minute, which is what a recording can win by restarting the ESP32; exactly from a goodbye to the
 * first heartbeat after it, so that a goodbye that was heard is never heard again.
 */
import type { WatchdogCode } from "./watchdogRules.ts";

/** A body of statements on `line`, a std::string; a wrong one changes nothing. Lengths are bounded before anything is parsed. */
export function judgeLine({ beat, rest, reboot }: Pick<WatchdogCode, "beat" | "rest" | "reboot">): string {
  return `
if (line.size() < 72 || line.size() > 100 || line.compare(0, 6, "hive1 ") != 0) return;
const bool rest = line.compare(6, 5, "rest ") == 0;
const bool reboot = line.compare(6, 7, "reboot ") == 0;
const size_t first = rest ? 11 : reboot ? 13 : 6;
const size_t gap = line.find(' ', first);
if (gap == std::string::npos || gap == first || gap - first > 16 || line.size() - gap - 1 != 64) return;
uint64_t shown = 0;
for (size_t i = first; i < gap; i++) {
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
if (rest || reboot || id(goodbye) != 0 || shown >= id(counter_kept) + 60000) id(counter_kept) = shown;
const uint32_t now = millis();
if (rest) {
${rest}
} else if (reboot) {
${reboot}
} else {
${beat}
}`.trim();
}

/** Gathers lines from the serial port; what has no line end is bounded. */
export const readSerial = `
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
