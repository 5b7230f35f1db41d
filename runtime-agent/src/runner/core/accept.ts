/** Judges one signal: pure, and the only way in. Nothing that is not signed, fresh and new changes anything. */
import { createHash } from "node:crypto";
import {
  mostBodyBytes,
  mostPayloadBytes,
  mostQueued,
  signal,
  signalKey,
  type RunReport,
  type Signal,
} from "../../../../components/shared/signals/protocol.ts";
import { isShallow } from "../../../../components/shared/signals/shallow.ts";
import { toleranceSec, verifyWebhook } from "../../../../components/shared/signals/webhooks.ts";
import { reportOf, type Change, type Run, type RunnerState } from "./state.ts";

export interface SignalRequest {
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** As it arrived. */
  readonly body: Uint8Array;
}

export interface AcceptRules {
  /** Name of the agent that runs here. */
  readonly agent: string;
  /** One or two `whsec_` secrets. */
  readonly secrets: readonly string[];
}

/**
 * 202: taken, and new. 200: known, and how it stands. 400: signed, but no signal for this agent. 401: not to be
 * believed, or a replay. 409: the key or the run id stands for something else. 410: the server's time is over. 413: too
 * long. 503: no room now.
 */
export type Verdict = {
  readonly changes: readonly Change[];
} & (
  | { readonly status: 200 | 202; readonly report: RunReport }
  | { readonly status: 400 | 401 | 409 | 410 | 413 | 503; readonly error: string }
);

/** Payloads that may wait, together, bytes. Ours: they are held in memory, on a server that may have 1 GB. */
export const mostWaitingBytes = 8 * 1024 * 1024;
/** Runs that are remembered after their delivery; older ones are forgotten when their window is long over. */
const mostRemembered = 10_000;
/** From so many on, they are forgotten sooner. */
const crowded = 20_000;
/** Runs that are remembered in any case. */
const mostKnown = 30_000;
/** In a crowd, a signal that was longer on its way than this is sent again by the Sentinel, with a new time, s. */
const shortWindowSec = 30;

function refused(status: 400 | 401 | 409 | 410 | 413 | 503, error: string): Verdict {
  return { status, error, changes: [] };
}

/**
 * What may be forgotten to make room: a run of which the Sentinel has the report, so that it never sends it again. A copy
 * of its signal is refused by the floor that is raised with it, even when the clock is set back.
 */
function forgettable(state: RunnerState, nowSec: number): Change[] {
  if (state.delivered.size < mostRemembered) return [];
  const [oldest] = state.delivered;
  const run = oldest === undefined ? undefined : state.runs.get(oldest);
  const ageSec = state.runs.size < crowded ? 2 * toleranceSec : shortWindowSec;
  if (run === undefined || run.timestampSec > nowSec - ageSec) return [];
  return [{ kind: "forgot", runId: run.runId, floorSec: run.timestampSec }];
}

function known(run: Run, body: string, timestampSec: number): Verdict {
  if (timestampSec <= run.timestampSec) return refused(401, "this signal was here before");
  if (body !== run.body) return refused(409, "the key stands for another signal");
  return { status: 200, report: reportOf(run), changes: [{ kind: "run", run: { ...run, timestampSec } }] };
}

function parse(body: Uint8Array): Signal | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(body);
    return isShallow(text) ? signal.safeParse(JSON.parse(text)).data : undefined;
  } catch {
    return undefined;
  }
}

/** What there is no room for; undefined when there is. */
function fullness({ queue, payloadBytes, runs }: RunnerState, bytes: number): string | undefined {
  const most = (count: number, limit: number, what: string): string | undefined =>
    count > limit ? `${String(count)} ${what}, and at most ${String(limit)} may` : undefined;
  return (
    most(queue.size + 1, mostQueued, "runs would wait") ??
    most(payloadBytes + bytes, mostWaitingBytes, "bytes of payloads would wait") ??
    most(runs.size + 1, mostKnown, "runs would be known")
  );
}

/** @param nowMs Unix ms */
export function acceptSignal(state: RunnerState, request: SignalRequest, rules: AcceptRules, nowMs: number): Verdict {
  const { headers, body } = request;
  if (body.length > mostBodyBytes) return refused(413, `a signal has at most ${String(mostBodyBytes)} bytes`);
  const nowSec = Math.floor(nowMs / 1000);
  const verdict = verifyWebhook(headers, body, rules.secrets, nowSec);
  if (!verdict.ok) return refused(401, verdict.reason === "stale" ? "the signal's time is not now" : "not signed");
  const { id: key, timestampSec } = verdict;
  const digest = createHash("sha256").update(body).digest("hex");
  const ofKey = state.runs.get(state.byKey.get(key) ?? "");
  if (ofKey !== undefined) return known(ofKey, digest, timestampSec);
  if (timestampSec <= state.floorSec) return refused(401, "this signal may have been here before");
  const parsed = parse(body);
  if (!signalKey.safeParse(key).success)
    return refused(400, "webhook-id is no key: 1 to 200 letters, digits, _, ., : and -; choose another key");
  if (parsed === undefined)
    return refused(400, "the body is no signal: type, agent, runId and payload as JSON; give both sides one release");
  if (parsed.agent !== rules.agent)
    return refused(
      400,
      `a signal for agent ${parsed.agent}, and ${rules.agent} runs here; send it to the other's server`,
    );
  if (state.runs.has(parsed.runId)) return refused(409, "the run id stands for another key; take a new id");
  if (state.expiresMs !== undefined && nowMs >= state.expiresMs)
    return refused(410, "this server's time is over; renew it: hive agent renew");
  const payload = JSON.stringify(parsed.payload);
  const bytes = Buffer.byteLength(payload);
  // Written anew it may be longer than it came: 1e20 has 21 digits.
  if (bytes > mostPayloadBytes)
    return refused(
      413,
      `the payload has ${String(bytes)} bytes; a payload has at most ${String(mostPayloadBytes)} bytes`,
    );
  const full = fullness(state, bytes);
  if (full !== undefined) return refused(503, `${full}; send it again later`);
  const run: Run = {
    runId: parsed.runId,
    key,
    body: digest,
    timestampSec,
    phase: "queued",
    attempts: 0,
    interruptions: 0,
    startedMs: null,
    start: null,
    oomKillsBefore: 0,
    report: null,
  };
  const changes: Change[] = [...forgettable(state, nowSec), { kind: "run", run, payload }];
  return { status: 202, report: reportOf(run), changes };
}
