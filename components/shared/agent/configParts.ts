/**
 * Building blocks of the agent's configuration: every one carries what is allowed and how to repair it, so that a fault
 * can say both. A zod message here is two lines: the limit and the fix (see `configFaults.ts`).
 */
import * as z from "zod";
import { parseCpuList } from "../cpuList.ts";
import { parseMiB } from "../units.ts";

/** The text of an issue: what is allowed, and what to do. */
export function says(limit: string, fix: string): string {
  return `${limit}\n${fix}`;
}

/** A mapping whose unknown keys are refused. Its message lists the known ones, for the nearest-name hint. */
export function strict<T extends z.ZodRawShape>(shape: T): z.ZodObject<z.util.Writeable<T>, z.core.$strict> {
  const keys = Object.keys(shape).join(", ");
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? says(keys, "Remove it, or write one of the known keys.")
        : says(`a mapping with the keys ${keys}`, "Write the keys below it, indented."),
  });
}

/** A whole number within both bounds, in the unit that its key names. */
export function whole(least: number, most: number, fix: string): z.ZodNumber {
  const error = says(`a whole number from ${String(least)} to ${String(most)}`, fix);
  return z.number({ error }).int({ error }).min(least, { error }).max(most, { error });
}

/** A number within both bounds. */
export function within(least: number, most: number, fix: string): z.ZodNumber {
  const error = says(`a number from ${String(least)} to ${String(most)}`, fix);
  return z.number({ error }).min(least, { error }).max(most, { error });
}

/** A text of one form. */
export function text(form: RegExp, limit: string, fix: string): z.ZodString {
  const error = says(limit, fix);
  return z.string({ error }).max(4096, { error, abort: true }).regex(form, { error, abort: true });
}

export function oneOf<const T extends readonly [string, ...string[]]>(
  values: T,
  fix: string,
): z.ZodEnum<{ [K in T[number]]: K }> {
  return z.enum(values, { error: says(`one of ${values.join(", ")}`, fix) });
}

export const yesOrNo = z.boolean({ error: says("true or false", "Write true or false, without quotes.") });

export function list<T extends z.core.SomeType>(item: T, most: number, what: string): z.ZodArray<T> {
  const error = says(`a list of at most ${String(most)} ${what}`, "Write a list, one item a line, each after a dash.");
  return z.array(item, { error }).max(most, { error });
}

/** An absolute path without `..`, NUL or line breaks. */
export const absolutePath = text(
  /^\/(?!.*(?:^|\/)\.\.(?:\/|$))[^\0\n\r]*$/,
  "an absolute path, no .. in it",
  "Write the whole path, from / on.",
);

/** A folder that the agent makes when it is missing. The kernel's file systems take none, and Node tries for ever. */
export const ownFolder = absolutePath.refine((value) => !/^\/(?:proc|sys|dev)(?:\/|$)/.test(value), {
  error: says("a folder outside /proc, /sys and /dev", "Write a folder on a disk."),
});

/** Path of a file that holds a secret: the configuration names it and never holds the secret itself. */
export const secretFile = absolutePath.refine((value) => !value.endsWith("/"), {
  error: says("the path of a file", "Write the file's own path, not its folder's."),
});

/** An amount of memory as `20 GB`, or a number of MiB; becomes whole MiB. */
export const memory = z
  .union([z.string(), z.number()], { error: says("an amount such as 20 GB or 512 MiB", "Write a number and a unit.") })
  .transform((value, context): number => {
    const parsed = parseMiB("", value);
    if (parsed.ok) return parsed.value;
    const [fault] = parsed.faults;
    context.issues.push({ code: "custom", input: value, message: says(fault?.limit ?? "", fault?.fix ?? "") });
    return z.NEVER;
  });

/** A time of day, `HH:MM` from 00:00 to 24:00; becomes minutes since midnight. */
export const timeOfDay = text(
  /^(?:[01]\d|2[0-3]):[0-5]\d$|^24:00$/,
  "a time of day as HH:MM, from 00:00 to 24:00",
  'Write two digits each, in quotes: "08:00".',
).transform((value) => Number(value.slice(0, 2)) * 60 + Number(value.slice(3)));

/** A day of the calendar, YYYY-MM-DD, that exists. */
export const calendarDay = text(
  /^\d{4}-\d{2}-\d{2}$/,
  "a day as YYYY-MM-DD",
  'Write year, month and day, in quotes: "2026-12-25".',
).refine(
  (value) => {
    const at = new Date(`${value}T00:00:00Z`);
    return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(value);
  },
  { error: says("a day that the calendar has", "Correct the month or the day.") },
);

function knownZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** A zone of the IANA time zone database. */
export const timeZone = text(
  /^[A-Za-z][\w+-]*(?:\/[\w+-]+){0,2}$/,
  "a name of the IANA time zone database",
  "Write it as Area/City.",
).refine(knownZone, {
  error: says("a name of the IANA time zone database", "Write it as Area/City, such as Europe/Paris."),
});

/** A CPU list as the kernel writes it (`0-3,8`); becomes the sorted numbers. */
export const cpuList = z
  .string({ error: says("a CPU list such as 0-3,8", "Write it in quotes.") })
  .transform((value, context): number[] => {
    const parsed = parseCpuList("", value);
    if (parsed.ok) return parsed.value;
    const [fault] = parsed.faults;
    context.issues.push({ code: "custom", input: value, message: says(fault?.limit ?? "", fault?.fix ?? "") });
    return z.NEVER;
  });

/** `address:port`, IPv6 addresses in brackets; becomes its two parts. */
export const hostPort = text(
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]):\d{1,5}$/,
  "address:port",
  'Write both, such as "10.10.1.10:8741".',
)
  .refine((value) => Number(value.slice(value.lastIndexOf(":") + 1)) <= 65535, {
    error: says("a port from 0 to 65535", "Correct the port."),
  })
  .transform((value) => {
    const cut = value.lastIndexOf(":");
    return { host: value.slice(0, cut).replace(/^\[|\]$/g, ""), port: Number(value.slice(cut + 1)) };
  });

/** An HTTP address without a user's name or password in it. */
export const httpUrl = text(
  /^https?:\/\/[^\s/@]+(?:\/[^\s]*)?$/,
  "an http:// or https:// address without a password",
  "Write it without user and password; secrets belong in a file.",
).refine((value) => URL.canParse(value), { error: says("an address that can be parsed", "Correct the address.") });

/** Name of a service, a guest's role, a node: one DNS label. */
export const label = text(
  /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
  "lowercase letters, digits and dashes, at most 63",
  "Write a short name, such as muse.",
);
