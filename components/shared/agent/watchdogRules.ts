/**
 * The rules of the ESP32 on the reset header (design §4): pure numbers and the C++ that its firmware runs, so that one
 * text is rendered into the firmware and compiled by a test against the promise: reset in under 3 minutes of a freeze.
 *
 * - Heartbeats arm it. Once armed, `timeoutSec` without one means a frozen host: one pulse on the reset line.
 * - After a pulse, or after a power cut, the host boots: no reset for `bootGraceSec` or until the first heartbeat.
 * - The ESP32 may restart by itself (an update, its own watchdog) while the host is frozen. It remembers that it was
 *   armed, and waits `rearmSec` only, twice; a third restart without a heartbeat between waits no more.
 * - After `maxResets` pulses without `healthySec` of steady heartbeats between them it gives up until it sees such a
 *   stretch, or somebody presses its button: a machine that cannot boot is not helped by a hundred resets.
 * - A Keeper that is stopped on purpose says goodbye, and why. Whatever it hears between decision and pulse calls the
 *   pulse off.
 *   - `rest` (stopped, upgraded, removed, or the machine is switched off): no reset until the next heartbeat, and
 *     restarts or power cuts of the ESP32 do not end it. It has no bound, because nobody said when the Keeper returns, and
 *     every bound would end in resetting a healthy host. The price: a host that freezes meanwhile stays frozen.
 *   - `reboot`: the host has `shutdownSec` to go down and `bootGraceSec` to come up, then it hangs and is reset. So a
 *     hang on the way down or up is covered, and `rest` is for those alone who mean it.
 *   - A goodbye that is lost leaves the old rule, reset after `timeoutSec`; hence it is sent a few times.
 */
import type { Fault } from "../faults.ts";
import { checkWhole, fault } from "../check.ts";

export interface WatchdogTimes {
  /** How often the Keeper sends a heartbeat, s. @default 5 */
  readonly periodSec: number;
  /** Silence that means a freeze, s. @default 90 */
  readonly timeoutSec: number;
  /** From a reset or a power cut to when the Keeper must have come up, s. @default 600 */
  readonly bootGraceSec: number;
  /** From the goodbye of a reboot until the host is down, s: then its boot grace begins. @default 1800 */
  readonly shutdownSec: number;
  /** What is waited for a heartbeat after the ESP32 itself restarted, s. @default 20 */
  readonly rearmSec: number;
  /** Length of the pulse, ms. @default 500 */
  readonly pulseMs: number;
  /** Resets without a healthy stretch between them. @default 3 */
  readonly maxResets: number;
  /** Steady heartbeats that count as healthy, s. @default 3600 */
  readonly healthySec: number;
}

export const defaultWatchdogTimes: WatchdogTimes = {
  periodSec: 5,
  timeoutSec: 90,
  bootGraceSec: 600,
  // Proxmox gives each group of guests 180 s; systemd itself forces a reboot after 30 minutes (its reboot.target).
  shutdownSec: 1800,
  rearmSec: 20,
  pulseMs: 500,
  maxResets: 3,
  healthySec: 3600,
};

/** Seed 001 §3: the hardware reboots alone in less than 3 minutes. */
export const mostFreezeSec = 180;
/** Start of an ESP32 up to its first decision, s; measured starts take 1 to 4. */
export const espStartSec = 10;
/** Between decision and pulse the counter is written to flash, s. */
export const flashSec = 3;
const tickSec = 1;
/** Four heartbeats of silence and twice two of waiting then still end in time, s. */
export const mostPeriodSec = 13;

/** The longest time from the last heartbeat to the end of the pulse, in seconds, whenever the ESP32 itself restarts. */
export function longestFreezeSec(times: WatchdogTimes): number {
  const { timeoutSec, rearmSec, pulseMs } = times;
  // One restart at the end of the time-out, one at the end of each wait, and one more just before the pulse.
  return timeoutSec + 2 * rearmSec + 4 * espStartSec + 2 * tickSec + 2 * flashSec + pulseMs / 1000;
}

/** Given times, some or all. */
export type SomeWatchdogTimes = { readonly [Name in keyof WatchdogTimes]?: number | undefined };

/** All times. Defaults of what is waited for follow from a longer period, as long as the promise can be kept. */
export function watchdogTimes(given: SomeWatchdogTimes): WatchdogTimes {
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  const times: WatchdogTimes = { ...defaultWatchdogTimes, ...Object.fromEntries(set) };
  const rearmSec = given.rearmSec ?? Math.max(times.rearmSec, leastRearmSec(times));
  const left = mostFreezeSec - longestFreezeSec({ ...times, rearmSec, timeoutSec: 0 });
  const timeoutSec = given.timeoutSec ?? Math.min(times.timeoutSec, Math.ceil(left) - 1);
  return { ...times, rearmSec, timeoutSec };
}

/** Two heartbeats and a start. */
function leastRearmSec({ periodSec }: WatchdogTimes): number {
  return 2 * periodSec + espStartSec;
}

/** Everything wrong with the times, at once. */
export function checkWatchdogTimes(property: string, times: WatchdogTimes): readonly Fault[] {
  const at = (name: keyof WatchdogTimes): string => `${property}.${name}`;
  const { periodSec, timeoutSec, rearmSec } = times;
  const faults = [
    ...checkWhole(at("periodSec"), periodSec, 1, mostPeriodSec, "s", "Send it every few seconds."),
    ...checkWhole(at("bootGraceSec"), times.bootGraceSec, 120, 3600, "s", "Give the host time to boot."),
    ...checkWhole(at("shutdownSec"), times.shutdownSec, 60, 7200, "s", "Give the guests time to shut down."),
    ...checkWhole(at("pulseMs"), times.pulseMs, 100, 2000, "ms", "A reset button is pressed for half a second."),
    ...checkWhole(at("maxResets"), times.maxResets, 1, 20, "", "Three are enough to tell a freeze from a dead disk."),
    ...checkWhole(at("healthySec"), times.healthySec, 600, 86_400, "s", "Write seconds."),
    ...checkWhole(at("timeoutSec"), timeoutSec, 4 * periodSec, 150, "s", "Allow for a few lost heartbeats."),
    ...checkWhole(at("rearmSec"), rearmSec, leastRearmSec(times), 150, "s", "Allow for two heartbeats and a start."),
  ];
  const worst = longestFreezeSec(times);
  if (faults.length === 0 && worst >= mostFreezeSec) {
    const limit = `under ${String(mostFreezeSec)} s from freeze to reset; these take up to ${String(worst)} s`;
    faults.push(fault(at("timeoutSec"), timeoutSec, limit, "Lower timeoutSec or rearmSec."));
  }
  return faults;
}

/** What `goodbye` holds. */
const noGoodbye = "0";
const resting = "1";
const rebooting = "2";

/** Variables of the firmware: name, C++ type, first value, whether flash keeps it. */
export const watchdogVariables = [
  { name: "armed", type: "bool", initial: "false", kept: true },
  { name: "resets", type: "int", initial: "0", kept: true },
  { name: "restarts", type: "int", initial: "0", kept: true },
  { name: "quiet_since_ms", type: "uint32_t", initial: "0", kept: false },
  { name: "wait_ms", type: "uint32_t", initial: "0", kept: false },
  { name: "healthy", type: "bool", initial: "false", kept: false },
  { name: "healthy_since_ms", type: "uint32_t", initial: "0", kept: false },
  { name: "locked", type: "bool", initial: "false", kept: false },
  { name: "goodbye", type: "int", initial: noGoodbye, kept: true },
  // A pulse is decided on and not yet begun.
  { name: "due", type: "bool", initial: "false", kept: false },
  // Of the newest line that was believed (`watchdogLine.ts`).
  { name: "counter", type: "uint64_t", initial: "0", kept: false },
  { name: "counter_kept", type: "uint64_t", initial: "0", kept: true },
] as const;

const ms = (seconds: number): string => `${String(seconds * 1000)}u`;

/** Any word of the host shows that it lives. */
const heard = `
if (id(due)) { id(due) = false; id(resets) = id(resets) - 1; }
id(quiet_since_ms) = now;
id(restarts) = 0;
id(locked) = false;`.trim();

export type WatchdogCode = Readonly<Record<"boot" | "beat" | "rest" | "reboot" | "tick" | "press" | "clear", string>>;

/**
 * The decisions in C++. Each is a body of statements on the variables above (`id(name)`), with `now` in milliseconds
 * (32 bits, wrapping after 49 days: only differences are taken). `boot` also reads `cold`: whether power was lost.
 * `tick` leaves in `fire` whether the reset line is to be pulsed; `press` comes right before the pulse, if that is still
 * `due`, so that a restart of the ESP32 between the two finds it still armed.
 */
export function watchdogCode(times: WatchdogTimes): WatchdogCode {
  const { bootGraceSec, shutdownSec } = times;
  return {
    boot: `
id(counter) = id(counter_kept);
id(quiet_since_ms) = now;
id(healthy) = false;
id(locked) = false;
id(due) = false;
if (cold) {
  id(armed) = false;
  id(restarts) = 0;
  // A host that lost power is down. A rest stays one: whoever removed the Keeper left this board on the header.
  if (id(goodbye) == ${rebooting}) id(goodbye) = ${noGoodbye};
}
if (id(armed)) {
  id(restarts) = id(restarts) + 1;
  id(wait_ms) = id(restarts) > 2 ? 0u : ${ms(times.rearmSec)};
} else {
  id(wait_ms) = id(goodbye) == ${rebooting} ? ${ms(shutdownSec + bootGraceSec)} : ${ms(bootGraceSec)};
}`.trim(),
    beat: `
${heard}
id(wait_ms) = ${ms(times.timeoutSec)};
id(armed) = true;
id(goodbye) = ${noGoodbye};
if (!id(healthy)) { id(healthy) = true; id(healthy_since_ms) = now; }
if (now - id(healthy_since_ms) >= ${ms(times.healthySec)}) id(resets) = 0;`.trim(),
    rest: `
${heard}
id(armed) = false;
id(healthy) = false;
id(goodbye) = ${resting};`.trim(),
    reboot: `
${heard}
id(wait_ms) = ${ms(shutdownSec + bootGraceSec)};
id(armed) = false;
id(healthy) = false;
id(goodbye) = ${rebooting};`.trim(),
    tick: `
if (id(goodbye) != ${resting} && now - id(quiet_since_ms) >= id(wait_ms)) {
  id(healthy) = false;
  if (id(resets) >= ${String(times.maxResets)}) {
    id(locked) = true;
  } else {
    id(resets) = id(resets) + 1;
    id(quiet_since_ms) = now;
    id(wait_ms) = ${ms(bootGraceSec + flashSec + 1)};
    id(goodbye) = ${noGoodbye};
    id(due) = true;
    fire = true;
  }
}`.trim(),
    press: `
id(due) = false;
id(armed) = false;
id(restarts) = 0;
id(healthy) = false;`.trim(),
    // It ends no rest: nobody who is told to press it may thereby set off resets of a host without a Keeper.
    clear: `
id(resets) = 0;
id(locked) = false;
id(armed) = false;
id(quiet_since_ms) = now;
id(wait_ms) = ${ms(bootGraceSec)};`.trim(),
  };
}

/** What the ESP32 says of itself, as a C++ expression. */
export const watchdogState = `
id(goodbye) == ${resting} ? "the Keeper is stopped" :
id(locked) ? "locked out" :
id(goodbye) == ${rebooting} ? "the host reboots" :
id(armed) ? "armed" : "waiting for the host"`.trim();
