import type { Checked, Fault } from "./faults.ts";

const longestShown = 80;
/** What looks like a secret in the wrong place: private keys, Proxmox API tokens, crypt(3) hashes, URLs with a password. */
const secretLike =
  /PRIVATE KEY|![A-Za-z][\w.-]*=\S{8,}|^\$(?:1|2[abxy]?|5|6|7|y|gy|argon2\w*)\$|\/\/[^/\s@]*:[^/\s@]*@/;

/** A value as a fault may show it: short, and never something that looks like a secret. */
export function show(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (value === null) return "null";
  if (Array.isArray(value)) return `a list of ${String(value.length)}`;
  if (typeof value === "object") return "an object";
  if (typeof value === "function" || typeof value === "symbol") return `a ${typeof value}`;
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  if (typeof value === "string" && secretLike.test(value)) return "a text that looks like a secret (not shown)";
  return text.length > longestShown ? `${text.slice(0, longestShown)}… (${String(text.length)} characters)` : text;
}

/** One fault; `value` may be of any type and is shortened. */
export function fault(property: string, value: unknown, limit: string, fix: string): Fault {
  return { property, value: show(value), limit, fix };
}

/** One fault whose value is told in words, for example `0 keys`. The words must not hold user input. */
export function faultInWords(property: string, words: string, limit: string, fix: string): Fault {
  return { property, value: words, limit, fix };
}

/** The value when there is no fault, else every fault. */
export function checked<T>(faults: readonly Fault[], value: T): Checked<T> {
  return faults.length === 0 ? { ok: true, value } : { ok: false, faults };
}

/** Whether a value is a whole number within both bounds. */
export function isWhole(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

/** Faults of a number that must be whole and within bounds. */
export function checkWhole(
  property: string,
  value: number,
  least: number,
  most: number,
  unit: string,
  fix: string,
): Fault[] {
  if (isWhole(value, least, most)) return [];
  return [
    fault(
      property,
      value,
      `a whole number from ${String(least)} to ${String(most)}${unit === "" ? "" : ` ${unit}`}`,
      fix,
    ),
  ];
}

/** Faults of a text that must match a form. */
export function checkForm(property: string, value: string, form: RegExp, limit: string, fix: string): Fault[] {
  return form.test(value) ? [] : [fault(property, value, limit, fix)];
}

/** One DNS label (RFC 1123): what guests and hosts may be called. */
export const dnsLabel = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
