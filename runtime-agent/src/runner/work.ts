/** Carries out what the core decides: starts of a job's unit, or payloads to a resident agent. One at a time. */
import type { Clock } from "../shared/clock.ts";
import { failpoint } from "../shared/failpoints.ts";
import type { Log } from "../shared/log.ts";
import type { Action, Now, RunnerEvent } from "./core/decide.ts";
import type { UnitSeen } from "./core/judge.ts";
import type { RunnerState } from "./core/state.ts";
import type { Resident } from "./resident.ts";
import type { RunFiles } from "./runFiles.ts";
import type { RunLog } from "./runLog.ts";
import type { Units } from "./units.ts";

export interface WorkParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly mode: "job" | "resident";
  readonly boot: string;
  readonly units: Units;
  readonly files: RunFiles;
  readonly runLog: RunLog;
  readonly resident: Resident;
  readonly memory: { look(): Promise<unknown>; oomKills(): number };
  readonly tell: (event: RunnerEvent) => void;
  /** Asks for a turn: the world looks different now. */
  readonly turn: () => void;
}

export interface Work {
  look(): Omit<Now, "wallMs">;
  act(action: Action): void;
  /** After a turn: looks at the unit as long as a run needs it. */
  turned(state: RunnerState): void;
  /** Ends when nothing is under way, soon after. */
  stop(): Promise<void>;
}

/** After a start that came to nothing, ms. */
const pauseMs = 5_000;
/** Between two looks at a unit that runs, ms: often at first, for short runs. */
const firstLookMs = 50;
const mostLookMs = 1_000;

export function createWork(parts: WorkParts): Work {
  const { clock, log, units, files, memory } = parts;
  const stopped = new AbortController();
  let unit: UnitSeen | undefined;
  let busyWith: string | undefined;
  let pausedUntilMs = 0;
  let looking: Promise<void> | undefined;
  let lookAfterMs = 0;
  let acting: Promise<void> = Promise.resolve();

  async function seeUnit(): Promise<UnitSeen> {
    const [seen] = await Promise.all([units.show(), memory.look()]);
    unit = seen;
    return seen;
  }

  function pause(): void {
    pausedUntilMs = clock.monotonicMs() + pauseMs;
    void clock.sleep(pauseMs, stopped.signal).then(() => {
      if (!stopped.signal.aborted) parts.turn();
    });
  }

  async function start(action: Action & { readonly kind: "start" }): Promise<RunnerEvent | undefined> {
    const { run, payload } = action;
    await files.prepare(run.runId, payload);
    await failpoint("runner.before-start");
    const started = await units.start();
    await failpoint("runner.after-start");
    lookAfterMs = firstLookMs;
    const seen = await seeUnit();
    if (started.kind === "started") return undefined;
    log.warning("the unit was not started", { runId: run.runId, reason: started.reason });
    pause();
    // What has begun all the same, or is yet to begin, is followed, and so is what nobody knows of.
    const begun = seen.invocation !== "" && seen.invocation !== run.start?.before;
    if (begun || seen.pending || started.kind === "unknown") return undefined;
    return { kind: "refused", runId: run.runId, reason: `it could not be started: ${started.reason}` };
  }

  async function collect(action: Action & { readonly kind: "collect" }): Promise<RunnerEvent> {
    const { run, unit: over } = action;
    const span = { fromMs: run.startedMs ?? clock.wallMs() };
    const [result, logTail] = await Promise.all([files.result(run.runId), parts.runLog.tail(span), memory.look()]);
    return { kind: "left", runId: run.runId, unit: over, oomKills: memory.oomKills(), result, logTail };
  }

  async function send(action: Action & { readonly kind: "send" }): Promise<RunnerEvent> {
    const { run, payload } = action;
    await memory.look();
    await failpoint("runner.before-send");
    const answer = await parts.resident.send(run.runId, payload, stopped.signal);
    await failpoint("runner.after-send");
    if (answer.kind === "unreachable") pause();
    const [logTail] = await Promise.all([
      parts.runLog.tail({ fromMs: run.startedMs ?? clock.wallMs() }),
      memory.look(),
    ]);
    return { kind: "answered", runId: run.runId, oomKills: memory.oomKills(), logTail, answer };
  }

  async function perform(action: Action): Promise<void> {
    let event: RunnerEvent | undefined;
    try {
      if (action.kind === "start") event = await start(action);
      else event = action.kind === "collect" ? await collect(action) : await send(action);
    } catch (error) {
      log.warning("action failed", { what: action.kind, runId: action.run.runId, error });
      unit = undefined;
      pause();
    }
    busyWith = undefined;
    // A resident's run that the runner itself breaks off is found, and told, by its successor.
    if (stopped.signal.aborted) return;
    if (event === undefined) parts.turn();
    else parts.tell(event);
  }

  function lookSoon(): void {
    looking ??= (async () => {
      await clock.sleep(lookAfterMs, stopped.signal);
      lookAfterMs = Math.min(mostLookMs, Math.max(firstLookMs, lookAfterMs * 1.5));
      if (stopped.signal.aborted || busyWith !== undefined) return;
      try {
        await seeUnit();
      } catch (error) {
        log.warning("the unit cannot be looked at", { error });
        lookAfterMs = mostLookMs;
      }
    })().finally(() => {
      looking = undefined;
      if (!stopped.signal.aborted) parts.turn();
    });
  }

  return {
    look: () => ({
      boot: parts.boot,
      oomKills: memory.oomKills(),
      unit,
      canStart: !stopped.signal.aborted && clock.monotonicMs() >= pausedUntilMs,
      busyWith: stopped.signal.aborted ? (busyWith ?? "the end") : busyWith,
    }),
    act(action) {
      busyWith = action.run.runId;
      acting = perform(action);
    },
    turned(state) {
      if (parts.mode === "resident" || busyWith !== undefined) return;
      const wanted = state.running !== undefined || (state.queue.size > 0 && clock.monotonicMs() >= pausedUntilMs);
      if (wanted) return lookSoon();
      // The next run is begun on a look of its own time.
      unit = undefined;
      lookAfterMs = 0;
    },
    async stop() {
      stopped.abort();
      await Promise.all([acting, looking]);
    },
  };
}
