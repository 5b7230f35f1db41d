/** What the journal holds: after each turn that mattered the whole state, so that the last line alone is enough. */
import * as z from "zod";
import type { Journal } from "../../shared/journal/index.ts";
import type { ArbiterState } from "./core/state.ts";
import { initialState } from "./core/state.ts";
import type { Action } from "./core/types.ts";
import type { NumberedDecision } from "./statusDocument.ts";

const rung = z.enum(["application", "checkpoint", "freeze", "stop", "term", "kill"]);
const count = z.number().int().nonnegative();
const ms = z.number();
const goal = z.enum(["pause", "vram", "end", "kill", "leave"]);
const step = z.object({
  action: z.string(),
  kind: z.enum(["start", "lower", "raise"]),
  rung: rung.nullable(),
  goal: goal.nullable(),
  gentle: z.boolean(),
  sinceMs: ms,
  deadlineMs: ms,
});
const hold = z.object({
  phase: z.enum(["starting", "running", "lowering", "lowered", "raising"]),
  seq: count,
  lease: z.string().nullable(),
  token: count,
  granted: z.boolean(),
  wants: z.boolean(),
  untilMs: ms.nullable(),
  sinceMs: ms,
  usedMs: ms,
  undo: z.array(rung),
  goal: goal.nullable(),
  tried: z.array(rung),
  freed: z.boolean(),
  rests: z.boolean(),
  why: z.string().nullable(),
  step: step.nullable(),
  startAction: z.string().nullable(),
  failures: count,
});
const mode = z.enum(["eco", "full", "capped", "restore"]);
const arbiterState = z.object({
  version: z.literal(1),
  nowMs: ms,
  actions: count,
  arrivals: count,
  token: count,
  queue: z.array(z.object({ lease: z.string(), service: z.string(), seq: count, sinceMs: ms })),
  holds: z.record(z.string(), hold),
  dueSeq: z.record(z.string(), count),
  startAtMs: z.record(z.string(), ms),
  thermal: z.object({
    sample: ms.nullable(),
    sampleAtMs: ms,
    hotSamples: count,
    countedAtMs: ms,
    capped: z.boolean(),
    paused: z.boolean(),
  }),
  loadLowSinceMs: ms.nullable(),
  power: z.object({
    mode: mode.nullable(),
    action: z.string().nullable(),
    retryAtMs: ms.nullable(),
    idleSinceMs: ms.nullable(),
  }),
  settle: z.object({ sample: ms }).nullable(),
  unmovableUntilMs: z.record(z.string(), ms),
  rates: z.record(z.string(), ms),
  told: z.record(z.string(), z.string()),
  unknownPids: z.array(count),
});

const processId = z.object({ pid: count, startTicks: count });
/** Where the processes of a service are: enough to set one free that the configuration no longer names. */
const place = z.object({
  cgroup: z.string().optional(),
  unit: z.string().optional(),
  container: z.object({ engine: z.string(), name: z.string(), socket: z.string().optional() }).optional(),
  pidFile: z.string().optional(),
});
export type Place = z.infer<typeof place>;

/** What the shell remembers beside the core. */
const shellState = z.object({
  places: z.record(z.string(), place),
  /** Processes whose VRAM the driver moved, by service: the driver does not list them any more. */
  checkpointed: z.record(z.string(), z.array(processId)),
  /** Until when nothing is granted, by the word given to the host side; null when no word was given. */
  promisedUntilMs: ms.nullable(),
});
export type ShellState = z.infer<typeof shellState>;

const decision = z.object({
  number: count,
  time: z.string(),
  what: z.string(),
  service: z.string().exactOptional(),
  lease: z.string().exactOptional(),
  token: count.exactOptional(),
  estimateMs: ms.exactOptional(),
  reason: z.string(),
});
const recordSchema = z.object({
  boot: z.string(),
  state: arbiterState,
  shell: shellState,
  decisions: z.array(decision),
});

/** One entry of the journal. The actions are there for people: what of them was done is asked of the kernel. */
export interface TurnRecord {
  /** Names the start of the machine that the monotonic times belong to. */
  readonly boot: string;
  readonly state: ArbiterState;
  readonly shell: ShellState;
  readonly actions: readonly Action[];
  readonly decisions: readonly NumberedDecision[];
}

export interface Replayed {
  readonly boot: string;
  readonly state: ArbiterState;
  readonly shell: ShellState;
  /** The youngest decisions, oldest first. */
  readonly decisions: readonly NumberedDecision[];
  /** Lines that were not believed, in words. */
  readonly damage: readonly string[];
}

/** Decisions kept in memory for `GET /decisions`. */
export const decisionsKept = 1000;
/** How far tokens jump when a line after the last good one is lost: more than one line can have given out. */
const tokenGap = 1000;

export const emptyShell: ShellState = { places: {}, checkpointed: {}, promisedUntilMs: null };

/** Reads the journal to its end. What is damaged is told, and tokens jump over what may have stood there. */
export async function replay(journal: Pick<Journal, "entries">): Promise<Replayed> {
  let last: z.infer<typeof recordSchema> | undefined;
  let decisions: NumberedDecision[] = [];
  const damage: string[] = [];
  let lostSince = 0;
  for await (const entry of journal.entries()) {
    const parsed = entry.kind === "entry" ? recordSchema.safeParse(entry.value, { jitless: true }) : undefined;
    if (parsed?.success === true) {
      last = parsed.data;
      lostSince = 0;
      decisions.push(...parsed.data.decisions);
      if (decisions.length > 2 * decisionsKept) decisions = decisions.slice(-decisionsKept);
      continue;
    }
    lostSince += 1;
    if (entry.kind === "corrupt") {
      damage.push(`${entry.at.segment} line ${String(entry.at.line)}: ${entry.at.reason}`);
    } else {
      const [issue] = parsed?.error?.issues ?? [];
      damage.push(`an entry of another form: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`);
    }
  }
  const state: ArbiterState = last?.state ?? initialState();
  return {
    boot: last?.boot ?? "",
    state: lostSince === 0 ? state : { ...state, token: state.token + tokenGap * lostSince },
    shell: last?.shell ?? emptyShell,
    decisions: decisions.slice(-decisionsKept),
    damage,
  };
}

/**
 * What of a state is worth a line of its own when nothing was decided: a lease that was renewed gets a whole period at
 * the next start in any case, and samples are in their own log.
 */
export function durablePart(state: ArbiterState): string {
  const holds = Object.entries(state.holds).map(([name, each]) => [
    name,
    { ...each, untilMs: 0, sinceMs: 0, usedMs: 0 },
  ]);
  return JSON.stringify([state.actions, state.arrivals, state.token, holds, state.startAtMs, state.rates]);
}
