/** A duration as people write it in an annotation, for example `4h`, `90m`, `1h30m`, `2d`. */

const dayMs = 86_400_000;
const form = /^(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?$/;

/** Longest that is understood: a year, in ms. */
export const longestMs = 366 * dayMs;

/** Milliseconds; undefined for another form, for nothing, and beyond a year. */
export function parseDuration(text: string): number | undefined {
  const found = form.exec(text);
  if (found === null) return undefined;
  const [, days = "0", hours = "0", minutes = "0", seconds = "0"] = found;
  const ms = Number(days) * dayMs + Number(hours) * 3_600_000 + Number(minutes) * 60_000 + Number(seconds) * 1000;
  return ms > 0 && ms <= longestMs ? ms : undefined;
}
