import type { Alert } from "./core/outbox.ts";

/** An alert, and who is told. */
export interface PartAlert {
  readonly alert: Alert;
  /** @default every channel */
  readonly tell?: readonly string[] | undefined;
}

/** A length of time for people: `45 s`, `12 min`, `3 h`, `4 days`. */
export function durationWords(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${String(seconds)} s`;
  if (seconds < 7200) return `${String(Math.round(seconds / 60))} min`;
  if (seconds < 48 * 3600) return `${String(Math.round(seconds / 3600))} h`;
  return `${String(Math.round(seconds / 86_400))} days`;
}

/** An instant for people, to the minute, UTC. */
export function instantWords(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16)}Z`;
}
