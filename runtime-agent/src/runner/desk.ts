/**
 * The runner's one writer. Turn by turn it takes what has come in, journals what that changes, and only then answers and
 * acts. Signals that come while a turn is being written share the next one, and its fsync.
 */
import type { RunReport } from "../../../components/shared/signals/protocol.ts";
import type { Clock } from "../shared/clock.ts";
import { failpoint } from "../shared/failpoints.ts";
import type { Journal } from "../shared/journal/index.ts";
import type { Log } from "../shared/log.ts";
import { acceptSignal, type AcceptRules, type SignalRequest, type Verdict } from "./core/accept.ts";
import { decide, take, type Action, type Now, type Rules, type RunnerEvent } from "./core/decide.ts";
import { applyChange, type Change, type RunnerState } from "./core/state.ts";
import { recover } from "./store.ts";

export interface DeskParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly journal: Pick<Journal, "append" | "entries">;
  readonly accept: () => AcceptRules;
  readonly rules: Rules;
  /** What the world looks like now. */
  readonly look: () => Omit<Now, "wallMs">;
  /** Carries an action out, in its own time. Never throws. */
  readonly act: (action: Action) => void;
  /** After each completed turn. */
  readonly turned: () => void;
  /** A turn that cannot be completed: memory and journal may differ, and a new process is the way out. */
  readonly failed: (error: unknown) => void;
}

export interface Desk {
  /** May hold what is only being written. */
  state(): RunnerState;
  /** The oldest report that waits for the Sentinel and is on the disk; undefined too while a turn is being written. */
  nextReport(): RunReport | undefined;
  /** Ends when everything that the state holds is on the disk. */
  settled(): Promise<void>;
  /** Judges a signal; ends when its consequences are on the disk. */
  signal(request: SignalRequest): Promise<Verdict>;
  tell(event: RunnerEvent): void;
  /** One turn, if none is under way; what comes meanwhile is seen to before it ends. Throws nothing. */
  turn(): Promise<void>;
}

/** Signals that may wait for their turn. Beyond it the answer is 503. */
const mostAtTheDoor = 256;

interface Waiting {
  readonly request: SignalRequest;
  readonly answer: (verdict: Verdict) => void;
}

const noRoom: Verdict = { status: 503, error: "the runner cannot write now", changes: [] };

export function createDesk(parts: DeskParts, recovered: RunnerState): Desk {
  const { clock, log } = parts;
  let state = recovered;
  let signals: Waiting[] = [];
  let events: RunnerEvent[] = [];
  let asked = false;
  let writing = false;
  let turning: Promise<void> | undefined;

  /** @returns false when nothing could be written */
  async function once(): Promise<boolean> {
    const [doors, news] = [signals, events];
    signals = [];
    events = [];
    const wallMs = Math.floor(clock.wallMs());
    const now: Now = { ...parts.look(), wallMs };
    const changes: Change[] = [];
    const put = (more: readonly Change[]): void => {
      for (const change of more) applyChange(state, change);
      changes.push(...more);
    };
    for (const event of news) put(take(state, event, now, parts.rules));
    const verdicts = doors.map(({ request }) => {
      const verdict = acceptSignal(state, request, parts.accept(), wallMs);
      put(verdict.changes);
      return verdict;
    });
    const outcome = decide(state, now, parts.rules);
    put(outcome.changes);
    if (changes.length > 0) {
      writing = true;
      try {
        await failpoint("runner.before-journal");
        await parts.journal.append(changes);
        await failpoint("runner.after-journal");
        writing = false;
      } catch (error) {
        // None of it happened. What the journal holds is what is so; events are taken again at the next turn.
        log.error("journal", { error });
        state = (await recover(parts.journal)).state;
        writing = false;
        events = [...news, ...events];
        for (const { answer } of doors) answer(noRoom);
        parts.turned();
        return false;
      }
    }
    doors.forEach(({ answer }, index) => answer(verdicts[index] ?? noRoom));
    for (const action of outcome.actions) parts.act(action);
    parts.turned();
    return true;
  }

  async function turns(): Promise<void> {
    try {
      let written: boolean;
      do {
        asked = false;
        written = await once();
        // Events that could not be written wait for a turn that somebody asks for.
      } while (signals.length > 0 || asked || (written && events.length > 0));
    } catch (error) {
      parts.failed(error);
    } finally {
      // At once, not in a later microtask: whoever asks from now on gets a turn of his own.
      turning = undefined;
    }
  }

  function turn(): Promise<void> {
    asked = true;
    turning ??= turns();
    return turning;
  }

  return {
    state: () => state,
    nextReport() {
      const [oldest = ""] = writing ? [] : state.outbox.keys();
      return state.runs.get(oldest)?.report ?? undefined;
    },
    async settled() {
      while (writing && turning !== undefined) await turning;
    },
    signal(request) {
      if (signals.length >= mostAtTheDoor) return Promise.resolve(noRoom);
      return new Promise((answer) => {
        signals.push({ request, answer });
        void turn();
      });
    },
    tell(event) {
      // The newest word on the server's time is the only one: a disk that is full for days gathers no more of them.
      if (event.kind === "expires") events = events.filter(({ kind }) => kind !== "expires");
      events.push(event);
      void turn();
    },
    turn,
  };
}
