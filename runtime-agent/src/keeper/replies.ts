/** Answers that both sides of the Keeper give in the same form. */
import type { ApiReply } from "../shared/localApi/index.ts";
import { ApiError } from "../shared/localApi/index.ts";

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
