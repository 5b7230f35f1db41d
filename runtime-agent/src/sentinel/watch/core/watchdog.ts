/** One watchdog's judgement: up or down with hysteresis, and when people are told. Pure and total. */

/** What one look found. */
export interface Finding {
  readonly ok: boolean;
  /** For people: `HTTP 200 in 12 ms`, `connection refused`. */
  readonly detail: string;
}

/** How many findings in a row change its mind. */
export interface Hysteresis {
  readonly failures: number;
  readonly successes: number;
}

export interface Judgement {
  /** `unknown` until enough looks agree; going from there to `up` is no news. */
  readonly standing: "unknown" | "up" | "down";
  /** Since when it stands so, Unix ms. */
  readonly sinceMs: number;
  /** The last findings that agree with each other. */
  readonly streak: { readonly ok: boolean; readonly count: number };
  /** Of the last finding. */
  readonly detail: string;
  /** When people were last told that it is down, Unix ms. */
  readonly toldMs: number;
}

export type Change = "down" | "up" | "reminder";

export function unjudged(wallMs: number): Judgement {
  return { standing: "unknown", sinceMs: wallMs, streak: { ok: true, count: 0 }, detail: "", toldMs: wallMs };
}

/** What follows from one more look. */
export function judge(
  before: Judgement,
  { ok, detail }: Finding,
  rule: Hysteresis,
  wallMs: number,
): { readonly judgement: Judgement; readonly change?: Change } {
  const count = before.streak.ok === ok ? before.streak.count + 1 : 1;
  const judgement: Judgement = { ...before, detail, streak: { ok, count } };
  const standing = ok ? "up" : "down";
  if (before.standing === standing || count < (ok ? rule.successes : rule.failures)) return { judgement };
  const changed: Judgement = { ...judgement, standing, sinceMs: wallMs, toldMs: wallMs };
  return standing === "up" && before.standing === "unknown"
    ? { judgement: changed }
    : { judgement: changed, change: standing };
}

/**
 * Whether people are to be told again that it is down.
 * @param reminderMs 0 for never
 */
export function remind(
  before: Judgement,
  reminderMs: number,
  wallMs: number,
): { readonly judgement: Judgement; readonly change?: Change } {
  if (before.standing !== "down" || reminderMs === 0) return { judgement: before };
  // A wall clock that was set back: the wait begins again, or nobody would be told until it has caught up.
  if (before.toldMs > wallMs) return { judgement: { ...before, toldMs: wallMs } };
  if (wallMs - before.toldMs < reminderMs) return { judgement: before };
  return { judgement: { ...before, toldMs: wallMs }, change: "reminder" };
}
