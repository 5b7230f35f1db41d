/** What the Sentinel may ask of a runner. */
import { runId, type RunReport } from "../../../components/shared/signals/protocol.ts";
import type { BoundedReply, BoundedRequest } from "../shared/boundedHttp.ts";
import type { SignalRequest, Verdict } from "./core/accept.ts";
import { reportOf, type Run } from "./core/state.ts";
import type { RunLog } from "./runLog.ts";

export interface RunnerView {
  /** A run as the disk has it. */
  run(runId: string): Promise<Run | undefined>;
  signal(request: SignalRequest): Promise<Verdict>;
  readonly runLog: RunLog;
  health(): Promise<object>;
}

/** Furthest place in a log that is asked for, bytes. */
const furthest = 2 ** 31;

function unknown(): BoundedReply {
  return { status: 404, json: { error: "no such route" } };
}

async function takeSignal(view: RunnerView, request: BoundedRequest): Promise<BoundedReply> {
  const verdict = await view.signal(request);
  return "report" in verdict
    ? { status: verdict.status, json: verdict.report }
    : { status: verdict.status, json: { error: verdict.error } };
}

async function logPart(view: RunnerView, report: RunReport, query: URLSearchParams): Promise<BoundedReply> {
  const text = query.get("from") ?? "0";
  if (!/^\d{1,10}$/.test(text) || Number(text) > furthest) {
    return { status: 400, json: { error: "from is a number of bytes" } };
  }
  const from = Number(text);
  const { startedMs, endedMs } = report;
  const ended = endedMs !== null;
  if (startedMs === null) return { status: 200, json: { from, next: from, text: "", end: ended } };
  try {
    const { more, ...part } = await view.runLog.part({ fromMs: startedMs, toMs: endedMs ?? undefined }, from);
    return { status: 200, json: { ...part, end: ended && !more } };
  } catch {
    return { status: 503, json: { error: "the journal cannot be read" } };
  }
}

/** Answers a peer that has shown the agent's key. */
export async function answerSentinel(view: RunnerView, request: BoundedRequest): Promise<BoundedReply> {
  const { method, path, query } = request;
  if (path === "/v1/signals") return method === "POST" ? takeSignal(view, request) : { status: 405, json: {} };
  if (method !== "GET") return unknown();
  if (path === "/v1/health") return { status: 200, json: await view.health() };
  return tellRun(view, path, query);
}

/** What a runner tells of a run: to whoever has shown the agent's key, or knows the run's id. */
async function tellRun(view: RunnerView, path: string, query: URLSearchParams): Promise<BoundedReply> {
  const [, id, rest] = /^\/v1\/runs\/([^/]+)(\/log)?$/.exec(path) ?? [];
  if (id === undefined || !runId.safeParse(id).success) return unknown();
  const run = await view.run(id);
  if (run === undefined) return { status: 404, json: { error: "no such run" } };
  return rest === undefined ? { status: 200, json: reportOf(run) } : logPart(view, reportOf(run), query);
}

/**
 * Answers whoever is on this machine: of a signal its signature counts alone, and of a run its id, 128 random bits that
 * only the Sentinel and the run itself know.
 */
export async function answerLocal(view: RunnerView, request: BoundedRequest): Promise<BoundedReply> {
  const { method, path, query } = request;
  if (method === "POST" && path === "/v1/signals") return takeSignal(view, request);
  return method === "GET" ? tellRun(view, path, query) : unknown();
}
