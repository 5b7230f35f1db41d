/** When a schedule is due, by its cron expression in its time zone (croner; five fields). */
import { Cron } from "croner";

export interface Instants {
  /** The first instant after `afterMs`, Unix ms; undefined when there is none. */
  next(afterMs: number): number | undefined;
}

/**
 * An hour that a clock shows twice: a schedule of one time a day fires at the first, one of many times at both. A time
 * that a clock skips: the former fires when it goes on, the latter not (croner's rule `single-value`).
 * @throws when the expression or the zone cannot be read
 */
export function cronInstants(pattern: string, timeZone: string): Instants {
  const cron = new Cron(pattern, { mode: "5-part", timezone: timeZone, paused: true });
  return { next: (afterMs) => cron.nextRun(new Date(afterMs))?.getTime() };
}
