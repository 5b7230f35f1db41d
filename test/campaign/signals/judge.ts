/** Judges what became of one signal against the guarantee of components/shared/signals/protocol.ts. Pure. */
import { mostInterruptions } from "../../../runtime-agent/src/runner/core/decide.ts";

/** What an independent watcher knows of one signal. */
export interface Story {
  readonly idempotent: boolean;
  /** Whether its payload asks the agent to fail. */
  readonly fails: boolean;
  /** Run ids that were answered for its key, or under which the agent got its payload. */
  readonly ids: ReadonlySet<string>;
  /** When the agent itself began with it, Unix ms. */
  readonly begunMs: readonly number[];
  /** How it ended, as the Sentinel said first, and when that was heard, Unix ms; undefined while nobody knows. */
  readonly end: { readonly state: string; readonly heardMs: number } | undefined;
  /** How often it was asked for after that, and another end told. */
  readonly otherEnds: number;
  /** The runner's own word, where it was asked for. */
  readonly report: { readonly attempts: number; readonly endedMs: number | null } | undefined;
}

export interface Verdict {
  readonly lost: readonly string[];
  readonly doubled: readonly string[];
  /** Not as it was: an interruption that is none, an end that is another one's. */
  readonly misreported: readonly string[];
}

const ends = new Set(["completed", "failed", "interrupted"]);

export function judgeStory(story: Story): Verdict {
  const { idempotent, fails, ids, begunMs, end, report } = story;
  const lost: string[] = [];
  const doubled: string[] = [];
  const misreported: string[] = [];
  if (end === undefined || !ends.has(end.state)) lost.push(`it stands at ${end?.state ?? "nothing"}`);
  else if (end.state !== "interrupted" && begunMs.length === 0) lost.push(`${end.state}, and never begun`);
  if (ids.size > 1) doubled.push(`${String(ids.size)} run ids: ${[...ids].join(", ")}`);
  if (!idempotent && begunMs.length > 1) doubled.push(`begun ${String(begunMs.length)} times, and not idempotent`);
  // By the runner's own word where there is one; what the Sentinel tells is later.
  const overMs = report?.endedMs ?? end?.heardMs ?? Number.POSITIVE_INFINITY;
  if (end !== undefined && begunMs.some((ms) => ms > overMs)) doubled.push(`begun again after it was ${end.state}`);
  if (report !== undefined && begunMs.length > report.attempts)
    doubled.push(`begun ${String(begunMs.length)} times, told ${String(report.attempts)}`);
  if (story.otherEnds > 0) misreported.push("two ends were told");
  if (end?.state === (fails ? "completed" : "failed")) misreported.push(`${end.state}, against what its agent did`);
  if (end?.state === "interrupted" && idempotent && (report?.attempts ?? Number.POSITIVE_INFINITY) <= mostInterruptions)
    misreported.push(`interrupted after ${String(report?.attempts)} attempts, and its agent is idempotent`);
  return { lost, doubled, misreported };
}
