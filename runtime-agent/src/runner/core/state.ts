/**
 * What a runner remembers: its runs, from a signal's arrival until the Sentinel has their end, and after that enough of
 * them to know the signal again. Changed by {@link applyChange} alone, with what the journal holds.
 */
import * as z from "zod";
import { runId, runReport, signalKey, type RunReport } from "../../../../components/shared/signals/protocol.ts";

const count = z.number().int().nonnegative();

/** What is known of a start before it is made: enough to tell later whether it was made. */
const start = z.object({
  /** Of the kernel: another one means that the server was started anew. */
  boot: z.string().max(64),
  /** The unit's invocation before the start; empty when systemd had forgotten it. */
  before: z.string().max(64),
});

export const runRecord = z.object({
  runId,
  key: signalKey,
  /** SHA-256 of the signal's body, hex. */
  body: z.string().regex(/^[0-9a-f]{64}$/),
  /** Of the newest signature that was believed, Unix s: the same or an older one is a replay. */
  timestampSec: count,
  /** `ended`: the Sentinel has yet to take the report. `delivered`: it has. */
  phase: z.enum(["queued", "running", "ended", "delivered"]),
  /** Starts of the agent before this one. */
  attempts: count,
  /** How often it was begun and not brought to an end. */
  interruptions: count,
  /** Of the first start, Unix ms. */
  startedMs: count.nullable(),
  start: start.nullable(),
  /** While it is `running`: what the kernel had killed before. */
  oomKillsBefore: count,
  report: runReport.nullable(),
});
export type Run = z.infer<typeof runRecord>;

/** One line of the journal. Applying it twice is applying it once. */
export const change = z.discriminatedUnion("kind", [
  /** `payload`: its JSON text, when the run is new. */
  z.object({ kind: z.literal("run"), run: runRecord, payload: z.string().exactOptional() }),
  /** An old run is forgotten; whatever was signed up to `floorSec` is a replay from now on. */
  z.object({ kind: z.literal("forgot"), runId, floorSec: count }),
  z.object({ kind: z.literal("floor"), floorSec: count }),
  /** End of the server's time to live, Unix ms. */
  z.object({ kind: z.literal("expires"), expiresMs: count }),
]);
export type Change = z.infer<typeof change>;

export interface RunnerState {
  /** By run id, in the order of arrival. */
  readonly runs: Map<string, Run>;
  readonly byKey: Map<string, string>;
  /** JSON texts of runs that have not ended. */
  readonly payloads: Map<string, string>;
  /** Run ids, next first. */
  readonly queue: Set<string>;
  /** Ended, not yet delivered; oldest first, with the size of each report, bytes. */
  readonly outbox: Map<string, number>;
  /** Delivered, in the order of their delivery. */
  readonly delivered: Set<string>;
  running: string | undefined;
  payloadBytes: number;
  outboxBytes: number;
  floorSec: number;
  expiresMs: number | undefined;
}

export function emptyState(): RunnerState {
  return {
    runs: new Map(),
    byKey: new Map(),
    payloads: new Map(),
    queue: new Set(),
    outbox: new Map(),
    delivered: new Set(),
    running: undefined,
    payloadBytes: 0,
    outboxBytes: 0,
    floorSec: 0,
    expiresMs: undefined,
  };
}

function dropPayload(state: RunnerState, id: string): void {
  state.payloadBytes -= Buffer.byteLength(state.payloads.get(id) ?? "");
  state.payloads.delete(id);
}

function putRun(state: RunnerState, run: Run, payload: string | undefined): void {
  const id = run.runId;
  const before = state.runs.get(id)?.phase;
  state.runs.set(id, run);
  state.byKey.set(run.key, id);
  if (payload !== undefined && !state.payloads.has(id)) {
    state.payloads.set(id, payload);
    state.payloadBytes += Buffer.byteLength(payload);
  }
  if (before === run.phase) return;
  if (state.running === id) state.running = undefined;
  state.outboxBytes -= state.outbox.get(id) ?? 0;
  for (const place of [state.queue, state.outbox, state.delivered]) place.delete(id);
  if (run.phase === "queued") {
    // One that is to be done again goes first: it is the oldest.
    const others = before === "running" ? [...state.queue] : [];
    for (const other of others) state.queue.delete(other);
    for (const one of [id, ...others]) state.queue.add(one);
    return;
  }
  if (run.phase === "running") {
    state.running = id;
    return;
  }
  dropPayload(state, id);
  if (run.phase === "delivered") {
    state.delivered.add(id);
    return;
  }
  const size = Buffer.byteLength(JSON.stringify(run.report));
  state.outbox.set(id, size);
  state.outboxBytes += size;
}

function forget(state: RunnerState, id: string): void {
  const run = state.runs.get(id);
  if (run === undefined) return;
  state.runs.delete(id);
  state.byKey.delete(run.key);
  state.delivered.delete(id);
}

/** Takes one change over. */
export function applyChange(state: RunnerState, change: Change): void {
  switch (change.kind) {
    case "run":
      putRun(state, change.run, change.payload);
      break;
    case "forgot":
      forget(state, change.runId);
      state.floorSec = Math.max(state.floorSec, change.floorSec);
      break;
    case "floor":
      state.floorSec = Math.max(state.floorSec, change.floorSec);
      break;
    case "expires":
      state.expiresMs = change.expiresMs;
      break;
  }
}

/** The changes that make this state of an empty one. */
export function snapshotOf(state: RunnerState): Change[] {
  const changes: Change[] = [{ kind: "floor", floorSec: state.floorSec }];
  if (state.expiresMs !== undefined) changes.push({ kind: "expires", expiresMs: state.expiresMs });
  for (const run of state.runs.values()) {
    const payload = state.payloads.get(run.runId);
    changes.push({ kind: "run", run, ...(payload === undefined ? {} : { payload }) });
  }
  return changes;
}

/** How a run stands, for the Sentinel. */
export function reportOf(run: Run): RunReport {
  if (run.report !== null) return run.report;
  return {
    runId: run.runId,
    state: run.phase === "running" ? "running" : "queued",
    attempts: run.attempts + (run.phase === "running" ? 1 : 0),
    exit: null,
    oomKills: 0,
    startedMs: run.startedMs,
    endedMs: null,
    reason: null,
    result: null,
    logTail: "",
  };
}
