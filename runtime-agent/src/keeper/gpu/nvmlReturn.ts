/** `nvmlReturn_t` in words, from nvml.h of NVML 12 (the numbers have been stable since NVML 1). */
const words: Readonly<Record<number, string>> = {
  0: "success",
  1: "NVML was not initialized",
  2: "a supplied argument is invalid",
  3: "the card does not support this",
  4: "no permission: this needs root",
  5: "NVML is already initialized",
  6: "no such card",
  7: "the buffer is too small",
  8: "the card's external power cables are not attached",
  9: "the NVIDIA driver is not loaded",
  10: "the driver timed out",
  11: "the kernel has an interrupt issue with the card",
  12: "the NVML shared library was not found",
  13: "this NVML does not have the function",
  14: "the card's infoROM is corrupted",
  15: "the card has fallen off the bus",
  16: "the card needs a reset",
  17: "the operating system or a cgroup blocks the card",
  18: "the loaded driver and the library differ in version (a driver upgrade without a reload)",
  19: "the card is in use",
  20: "out of memory",
  21: "no data",
  22: "not available with ECC enabled",
  23: "out of critical resources",
  24: "the frequency is not supported",
  25: "the struct version is not supported",
  26: "deprecated",
  27: "the system is not ready",
  28: "no GPU was found",
  29: "the card is in the wrong state",
  30: "the reset type is not supported",
  999: "an internal driver error",
};

/** Answers to opening the card that mean that there is none: an index beyond the last one is an invalid argument. */
const absentCodes = new Set([2, 6, 9, 12, 28]);
/** What the library knows is void: only a new process that opens the driver anew can go on. */
const reopenCodes = new Set([1, 9, 15, 16, 18, 28, 999]);

export const nvmlSuccess = 0;
export const nvmlNotSupported = 3;
export const nvmlInsufficientSize = 7;
export const nvmlFunctionNotFound = 13;
export const nvmlVersionMismatch = 25;

/** `nvmlDeviceGetName: the card has fallen off the bus (15)`. */
export function nvmlWords(call: string, code: number): string {
  return `${call}: ${words[code] ?? "an unknown NVML error"} (${code})`;
}

export function meansAbsent(code: number): boolean {
  return absentCodes.has(code);
}

export function needsReopen(code: number): boolean {
  return reopenCodes.has(code);
}
