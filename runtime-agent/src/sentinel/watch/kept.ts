/** What watching keeps over a restart, read back with the same suspicion as anything from outside. */
import * as z from "zod";
import type { OomBook } from "../oom/books.ts";
import type { ReapState } from "../reaper/decide.ts";
import type { ScheduleMarks } from "../schedule/core.ts";
import { emptyOutbox, type Outbox } from "./core/outbox.ts";

/** What stands, because people were told so. */
export interface KeptDown {
  readonly sinceMs: number;
  readonly toldMs: number;
  readonly detail: string;
}

export interface Kept {
  /** When this memory began, Unix ms: what happened before it is not known. */
  readonly sinceMs: number;
  /** By subject. */
  readonly down: Readonly<Record<string, KeptDown>>;
  readonly outbox: Outbox;
  readonly schedules: ScheduleMarks;
  readonly begunMs: ReapState["begunMs"];
  readonly seenMs: ReapState["seenMs"];
  readonly books: Readonly<Record<string, Pick<OomBook, "counted" | "lacksMs">>>;
}

const ms = z.number().nonnegative();
const whole = z.number().int().nonnegative();
const alert = z.object({
  atMs: ms,
  subject: z.string(),
  kind: z.enum(["problem", "solved", "notice"]),
  text: z.string(),
});
const message = z.object({
  id: z.string(),
  alerts: z.array(alert),
  lost: whole,
  firstMs: ms,
  attempts: whole,
  nextMs: ms,
});
const box = z.object({
  waiting: z.array(alert),
  lost: whole,
  message: message.exactOptional(),
  begunMs: z.array(ms),
});
const kept = z.object({
  sinceMs: ms,
  down: z.record(z.string(), z.object({ sinceMs: ms, toldMs: ms, detail: z.string() })),
  outbox: z.object({ sequence: whole, channels: z.record(z.string(), box) }),
  schedules: z.record(
    z.string(),
    z.object({ identity: z.string(), upToMs: ms, ranMs: z.array(ms), keys: z.literal("colons").exactOptional() }),
  ),
  begunMs: z.record(z.string(), ms),
  // Older releases kept none.
  seenMs: z.record(z.string(), ms).default({}),
  books: z.record(
    z.string(),
    z.object({
      counted: z.object({ instance: z.string(), oomKill: whole }).exactOptional(),
      lacksMs: z.array(ms),
    }),
  ),
});

export function emptyKept(sinceMs: number): Kept {
  return { sinceMs, down: {}, outbox: emptyOutbox, schedules: {}, begunMs: {}, seenMs: {}, books: {} };
}

/** What was kept; undefined when it is none of this. */
export function readKept(value: unknown): Kept | undefined {
  const parsed = kept.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}
