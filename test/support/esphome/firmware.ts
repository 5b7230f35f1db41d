/** The firmware's own C++ on this machine: its rules, its judge of lines, and stand-ins for what ESPHome gives it. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { judgeLine } from "../../../components/shared/agent/watchdogLine.ts";
import {
  flashSec,
  watchdogCode,
  watchdogVariables,
  type WatchdogTimes,
} from "../../../components/shared/agent/watchdogRules.ts";

export interface Firmware {
  /** One character for each line: P when the reset line is pulled, L when locked out, R at rest, A armed, else 0. */
  run(lines: readonly string[]): string;
  remove(): Promise<void>;
}

export function compiler(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.map((folder) => join(folder, "g++")).find((file) => existsSync(file));
}

/** Lines are `boot COLD NOW`, `tick 0 NOW` and `hear 0 NOW TEXT`. */
function program(times: WatchdogTimes, key: string): string {
  const code = watchdogCode(times);
  const variables = watchdogVariables.map(({ name, type, initial }) => `static ${type} ${name} = ${initial};`);
  // What flash does not keep begins anew.
  const lost = watchdogVariables.filter(({ kept }) => !kept).map(({ name, initial }) => `${name} = ${initial};`);
  return `#include <cstdio>
#include <iostream>
#include "${join(import.meta.dirname, "mbedtls.h")}"
#define id(name) name
${variables.join("\n")}
static uint32_t clock_ms = 0;
static uint32_t millis() { return clock_ms; }
static void hear(std::string line) {
${judgeLine(code).replace("${watchdog_key}", key)}
}
static void start(bool cold, uint32_t now) {
${lost.join("\n")}
${code.boot}
}
static bool decide(uint32_t now) {
bool fire = false;
${code.tick}
return fire;
}
static void press(uint32_t now) {
${code.press}
id(quiet_since_ms) = now;
}
int main() {
  std::string word, text;
  int flag;
  unsigned long long at;
  bool pending = false;
  uint32_t decided = 0;
  while (std::cin >> word >> flag >> at) {
    std::getline(std::cin, text);
    const uint32_t now = clock_ms = (uint32_t) at;
    if (word == "boot") { pending = false; start(flag != 0, now); }
    else if (word == "hear") hear(text.empty() ? text : text.substr(1));
    else if (decide(now)) { pending = true; decided = now; }
    const bool ends = pending && now - decided >= ${String(flashSec * 1000)}u;
    const bool pull = ends && due;
    if (ends) pending = false;
    if (pull) press(now);
    putchar(pull ? 'P' : goodbye == 1 ? 'R' : locked ? 'L' : armed ? 'A' : '0');
  }
}
`;
}

/** Compiles the firmware with `watchdog_key` as it is written in secrets.yaml. */
export async function compileFirmware(gxx: string, times: WatchdogTimes, key: string): Promise<Firmware> {
  const folder = await mkdtemp(join(tmpdir(), "hive-esp-"));
  const remove = (): Promise<void> => rm(folder, { recursive: true });
  const binary = join(folder, "firmware");
  await writeFile(`${binary}.cpp`, program(times, key));
  const argv = ["-Wall", "-Werror", "-O1", "-o", binary, `${binary}.cpp`];
  const { status, stderr } = spawnSync(gxx, argv, { encoding: "utf8" });
  if (status !== 0) {
    await remove();
    throw new Error(stderr);
  }
  return {
    run(lines) {
      const ended = spawnSync(binary, { input: `${lines.join("\n")}\n`, encoding: "utf8" });
      if (ended.stdout.length !== lines.length) throw new Error(`${String(ended.status)} ${ended.stderr}`);
      return ended.stdout;
    },
    remove,
  };
}
