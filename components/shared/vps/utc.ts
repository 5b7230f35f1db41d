/** Times as configurations write them: UTC, whole seconds, `2026-12-01T00:00:00Z`. Pure. */

/** The text of a time in Unix seconds. */
export function formatUtc(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

/** Unix seconds of a text; undefined for anything in another form, or on a day that the calendar does not have. */
export function parseUtc(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text)) return undefined;
  const seconds = Date.parse(text) / 1000;
  // Such a day comes back as another one.
  return Number.isInteger(seconds) && seconds >= 0 && formatUtc(seconds) === text ? seconds : undefined;
}
