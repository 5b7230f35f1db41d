/** Answers that both sides of the Keeper give in the same form. */
import type { ApiReply } from "../shared/localApi/index.ts";
import { ApiError } from "../shared/localApi/index.ts";

/** A loop that has not turned for so long is not well, ms. */
const lateLoopMs = 5_000;

/**
 * `GET /health`: `{ok, loopAgeMs, fault}`, 200 or 503. `loopAgeMs` is null before the first turn, `fault` is null when
 * all is well.
 */
export function healthReply(loopAgeMs: number | undefined, fault?: string): ApiReply {
  const late = loopAgeMs === undefined || loopAgeMs > lateLoopMs ? "the decision loop is late" : undefined;
  const why = fault ?? late;
  return {
    status: why === undefined ? 200 : 503,
    json: {
      ok: why === undefined,
      loopAgeMs: loopAgeMs === undefined ? null : Math.round(loopAgeMs),
      fault: why ?? null,
    },
  };
}

/** The number of the last decision that a caller has; 0 when it says none. */
export function sinceOf(query: URLSearchParams): number {
  const since = Number(query.get("since") ?? 0);
  if (Number.isSafeInteger(since) && since >= 0) return since;
  throw new ApiError(400, "since cannot be read", {
    property: "since",
    limit: "a number of a decision",
    fix: "Write it.",
  });
}

/** `GET /decisions`: those after `since`, oldest first, and the number to ask with next. */
export function decisionsReply(decisions: readonly { readonly number: number }[], since: number): ApiReply {
  return { json: { decisions, next: decisions.at(-1)?.number ?? since } };
}
