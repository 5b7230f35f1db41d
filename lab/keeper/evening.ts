// The script of an evening: what happens when, and what the Keeper must have decided.
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import * as z from "zod";

const timeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, "HH:MM");
const text = z.string().min(1).max(200);

const decision = z.strictObject({ what: text, service: text.optional(), reason: text.optional() });

const step = z.strictObject({
  at: timeOfDay,
  text,
  /** A service asks for the card and keeps it for so many minutes of the evening. */
  ask: z.strictObject({ service: text, minutes: z.number().positive() }).optional(),
  /** The card is this hot until at least so many samples have shown it and the decisions are made. */
  heat: z.strictObject({ celsius: z.number().min(0).max(120), samples: z.number().int().min(1).max(20) }).optional(),
  /** The machine's one-minute load, from then on. */
  load: z.number().min(0).max(1000).optional(),
  /** What the Keeper must decide then, in this order. */
  decisions: z.array(decision).default([]),
  /** What it must not have decided by the next scene. */
  never: z.array(decision).default([]),
});

const schema = z.strictObject({
  timeZone: text,
  from: z.iso.datetime({ offset: true }),
  to: timeOfDay,
  steps: z.array(step).min(1).max(100),
});

type RawStep = z.output<typeof step>;

/** A step with its instant on the evening's clock, Unix ms. */
export type EveningStep = Omit<RawStep, "at"> & { readonly at: string; readonly atMs: number };
/** A decision that is looked for: of this service, its reason with this text in it. */
export type ExpectedDecision = z.output<typeof decision>;

export interface Evening {
  readonly timeZone: string;
  /** ISO 8601, with the offset of that evening. */
  readonly from: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly steps: readonly EveningStep[];
}

const dayMs = 86_400_000;

/** Reads a script. @throws ZodError with every fault of its shape */
export function parseEvening(yaml: string): Evening {
  const { timeZone, from, to, steps } = schema.parse(parse(yaml));
  const fromMs = Date.parse(from);
  // Times of day are those of the offset that the evening begins with: no clock is set forward or back in it.
  const midnightMs = Date.parse(`${from.slice(0, 10)}T00:00:00${/(Z|[+-]\d\d:\d\d)$/.exec(from)?.[1] ?? "Z"}`);
  let lastMs = fromMs;
  const instant = (at: string): number => {
    let ms = midnightMs + (Number(at.slice(0, 2)) * 60 + Number(at.slice(3))) * 60_000;
    while (ms < lastMs) ms += dayMs;
    return (lastMs = ms);
  };
  const timed = steps.map((each) => ({ ...each, atMs: instant(each.at) }));
  return { timeZone, from, fromMs, toMs: instant(to), steps: timed };
}

/** The evening that comes with the lab. */
export function labEvening(): Evening {
  return parseEvening(readFileSync(new URL("./evening.yaml", import.meta.url), "utf8"));
}

/** A decision as the Keeper tells it. */
export interface MadeDecision {
  readonly number: number;
  readonly what: string;
  readonly service: string;
  readonly reason: string;
}

/**
 * Looks for the expected decisions among those that were made, in their order.
 * @returns the ones that are missing, and the number of the last one that was found (undefined: none). Pure.
 */
export function findDecisions(
  expected: readonly ExpectedDecision[],
  made: readonly MadeDecision[],
): { readonly missing: readonly ExpectedDecision[]; readonly last: number | undefined } {
  let from = 0;
  let last: number | undefined;
  for (const [index, { what, service, reason }] of expected.entries()) {
    const fits = (each: MadeDecision): boolean =>
      each.what === what && (service ?? each.service) === each.service && each.reason.includes(reason ?? "");
    const found = made.findIndex((each, at) => at >= from && fits(each));
    if (found < 0) return { missing: expected.slice(index), last };
    from = found + 1;
    last = made[found]?.number;
  }
  return { missing: [], last };
}
