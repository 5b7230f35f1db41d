/** Answers that both sides of the Keeper give in the same form. */
import type { ApiReply } from "../shared/localApi/index.ts";
import { ApiError } from "../shared/localApi/index.ts";
import type { Health } from "./health.ts";

/** `GET /health`: `{healthy, unhealthy, loopAgeMs}`, 200 or 503. `loopAgeMs` is null before the first turn. */
export function healthReply({ healthy, unhealthy }: Health, loopAgeMs: number | undefined): ApiReply {
  return {
    status: healthy ? 200 : 503,
    json: { healthy, unhealthy, loopAgeMs: loopAgeMs === undefined ? null : Math.round(loopAgeMs) },
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
