import type { ApiReply } from "./localApi/index.ts";

/**
 * Whether a role is well, as its status says it and its installation waits for it.
 *
 * The other end of a link is no part of it: whichever is installed first would never be well.
 */
export interface Health {
  readonly healthy: boolean;
  /** Why not, in plain words; empty when it is healthy. */
  readonly unhealthy: readonly string[];
}

/** A loop that has not turned for so long is not well, ms. It turns once a second. */
const lateLoopMs = 5_000;

/**
 * Health from the loop's age (ms since its last completed turn; undefined before the first) and what else is wrong. Pure.
 */
export function healthOf(loopAgeMs: number | undefined, faults: readonly (string | undefined)[]): Health {
  const late =
    loopAgeMs === undefined
      ? "no decision loop is completed yet"
      : loopAgeMs > lateLoopMs
        ? `the decision loop is late: the last one ended ${String(Math.round(loopAgeMs / 1000))} s ago`
        : undefined;
  const unhealthy = [late, ...faults].filter((reason) => reason !== undefined);
  return { healthy: unhealthy.length === 0, unhealthy };
}

/** `GET /health`: `{healthy, unhealthy, loopAgeMs}`, 200 or 503. `loopAgeMs` is null before the first turn. */
export function healthReply({ healthy, unhealthy }: Health, loopAgeMs: number | undefined): ApiReply {
  return {
    status: healthy ? 200 : 503,
    json: { healthy, unhealthy, loopAgeMs: loopAgeMs === undefined ? null : Math.round(loopAgeMs) },
  };
}
