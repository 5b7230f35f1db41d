// Time spans as unit files write them: systemd.time(7), "PARSING TIME SPANS".

const unitMs: Readonly<Record<string, number>> = {
  ...{ us: 0.001, µs: 0.001, usec: 0.001, ms: 1, msec: 1, s: 1000, sec: 1000, second: 1000, seconds: 1000, "": 1000 },
  ...{ m: 60_000, min: 60_000, minute: 60_000, minutes: 60_000 },
  ...{ h: 3_600_000, hr: 3_600_000, hour: 3_600_000, hours: 3_600_000 },
  ...{ d: 86_400_000, day: 86_400_000, days: 86_400_000 },
  ...{ w: 604_800_000, week: 604_800_000, weeks: 604_800_000 },
};

/** `1min 30s`, `30` (seconds) or `infinity`, in ms; undefined for anything else. */
export function parseTimespan(text: string): number | undefined {
  if (text.trim() === "infinity") return Number.POSITIVE_INFINITY;
  const part = /\s*(\d+(?:\.\d+)?)\s*([a-zµ]*)\s*/y;
  let total = 0;
  while (part.lastIndex < text.length) {
    const [, number, unit = ""] = part.exec(text) ?? [];
    const factor = Object.hasOwn(unitMs, unit) ? unitMs[unit] : undefined;
    if (number === undefined || factor === undefined) return undefined;
    total += Number(number) * factor;
  }
  return text.trim() === "" ? undefined : total;
}
