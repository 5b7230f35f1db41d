/** Times to live as people write them. */

const secondsOf = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 } as const;

function isUnit(text: string): text is keyof typeof secondsOf {
  return Object.hasOwn(secondsOf, text);
}

/** Whole seconds of `90m`, `24h` or `7d` (also `s` and `w`); undefined for what is none. */
export function parseDuration(text: string): number | undefined {
  const [, digits = "", unit = ""] = /^(\d{1,9})([a-z])$/.exec(text.trim()) ?? [];
  return isUnit(unit) ? Number(digits) * secondsOf[unit] : undefined;
}

/** Seconds for people, in the two largest units: `1 d 4 h`, `12 min`; nothing below a minute but 0 and seconds alone. */
export function formatDuration(sec: number): string {
  const whole = Math.max(0, Math.floor(sec));
  const parts = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor((whole % 86_400) / 3600), "h"],
    [Math.floor((whole % 3600) / 60), "min"],
    [whole % 60, "s"],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first === -1) return "0 s";
  const shown = parts.slice(first, first + 2).filter(([count]) => count > 0);
  return shown.map(([count, unit]) => `${String(count)} ${unit}`).join(" ");
}
