/** What the journal holds: after each turn that mattered the whole state, so that the last line alone is enough. */
import * as z from "zod";
import type { Journal } from "../../shared/journal/index.ts";
import type { ArbiterState, Hold } from "./core/state.ts";
import { initialState } from "./core/state.ts";
import type { Action, Outcome } from "./core/types.ts";
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
  // Journals of versions before it do not have it.
  turnFromMs: ms.default(0),
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
  /** The server in it: one that was put to sleep is woken by its own interface only. */
  application: z
    .object({
      type: z.enum(["vllm", "ollama", "comfyui"]),
      url: z.string(),
      model: z.string().optional(),
      interrupt: z.boolean().optional(),
    })
    .optional(),
});
export type Place = z.infer<typeof place>;

/** What the shell remembers beside the core. */
const shellState = z.object({
  places: z.record(z.string(), place),
  /** Processes whose VRAM the driver moved, by service: the driver does not list them any more. */
  checkpointed: z.record(z.string(), z.array(processId)),
  /** Until when nothing is granted, by the word given to the host side; null when no word was given. */
  promisedUntilMs: ms.nullable(),
  /** The handoff that it was given for, by the host side's id. Journals of versions before it do not have it. */
  promisedFor: z.string().nullable().default(null),
});
export type ShellState = z.infer<typeof shellState>;

/** A promise of the arbiter to grant nothing. */
export interface ReleasePromise {
  /** Its end on the arbiter's monotonic clock, ms. */
  readonly untilMs: number;
  /** The handoff that it is for, by the host side's id; null when only time ends it. */
  readonly id: string | null;
}

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
  tokensUpTo: count,
  state: arbiterState,
  shell: shellState,
  decisions: z.array(decision),
});

/** What a turn decided, and when: it may be written a little later. */
export interface Turn extends Outcome {
  /** Unix time, ms. */
  readonly wallMs: number;
}

/** One entry of the journal. The actions are there for people: what of them was done is asked of the kernel. */
export interface TurnRecord {
  /** Names the start of the machine that the monotonic times belong to. */
  readonly boot: string;
  /** The highest fencing token that can have been given out before a record with a higher one is synced. */
  readonly tokensUpTo: number;
  readonly state: ArbiterState;
  readonly shell: ShellState;
  readonly actions: readonly Action[];
  readonly decisions: readonly NumberedDecision[];
}

export interface Replayed {
  readonly boot: string;
  /** Its token is one that no later record, lost or not, can have given out. */
  readonly state: ArbiterState;
  readonly shell: ShellState;
  /** The youngest decisions, oldest first. */
  readonly decisions: readonly NumberedDecision[];
  /** Lines that were not believed, in words. */
  readonly damage: readonly string[];
}

/** Decisions kept in memory for `GET /decisions`. */
export const decisionsKept = 1000;
/** Fencing tokens that are reserved at a time; each record reserves one block more than the one before it at most. */
export const tokenBlock = 1000;

export const emptyShell: ShellState = { places: {}, checkpointed: {}, promisedUntilMs: null, promisedFor: null };

/**
 * Reads the journal to its end, and tells what is damaged. Tokens go on where they were when the journal is whole and of
 * this start of the machine: then all that was written is there. Else lines that gave tokens out may be missing, and
 * tokens jump over all that was reserved, and over one block for each line that cannot be read.
 */
export async function replay(journal: Pick<Journal, "entries" | "opened">, boot: string): Promise<Replayed> {
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
  const whole = last?.boot === boot && lostSince === 0 && journal.opened.tornBytes === 0;
  const reserved = Math.max(state.token, last?.tokensUpTo ?? 0) + tokenBlock * lostSince;
  return {
    boot: last?.boot ?? "",
    state: whole ? state : { ...state, token: reserved },
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

/**
 * The written state again, after turns that could not be written: what was decided since has not happened. What was
 * seen has: samples of heat and load count on, leases were renewed, and numbers are not given out twice. `before` is the
 * state before the turn that failed, `seen` the one after it.
 */
export function keptFrom(written: ArbiterState, before: ArbiterState, seen: ArbiterState): ArbiterState {
  const { sample, sampleAtMs, hotSamples, countedAtMs } = seen.thermal;
  const holds = Object.entries(written.holds).map(([name, hold]): [string, Readonly<Hold>] => {
    const newer = before.holds[name];
    const same = newer?.token === hold.token && newer.phase === "running" && hold.phase === "running";
    const { untilMs, sinceMs, usedMs } = same ? newer : hold;
    return [name, { ...hold, untilMs, sinceMs, usedMs }];
  });
  return {
    ...written,
    arrivals: before.arrivals,
    token: before.token,
    holds: Object.fromEntries(holds),
    thermal: { ...written.thermal, sample, sampleAtMs, hotSamples, countedAtMs },
    loadLowSinceMs: seen.loadLowSinceMs,
  };
}
