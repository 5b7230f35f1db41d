/** Whoever asks for runs: asks again with the same key until there is an answer, and later how it ended. */
import { setTimeout as sleep } from "node:timers/promises";
import { runEnds } from "../../../components/shared/signals/protocol.ts";
import type { Admin, Answer } from "./admin.ts";
import type { Begins, Work } from "./begins.ts";

const endStates: ReadonlySet<string> = runEnds;

/** What is known of one signal; see `Story` of the judge. */
export interface Signal {
  readonly agent: string;
  readonly key: string;
  readonly fails: boolean;
  readonly ids: Set<string>;
  askedMs: number;
  end: { readonly state: string; readonly heardMs: number } | undefined;
  otherEnds: number;
  report: { readonly attempts: number; readonly endedMs: number | null } | undefined;
}

export interface CallerOptions {
  readonly admin: Admin;
  readonly begins: Begins;
  readonly stop: AbortSignal;
  readonly random: () => number;
  /** The payload of a signal, the same each time. */
  readonly payload: (key: string) => Work;
  /** Told of each answer: the Sentinel has done something. */
  readonly answered: () => void;
  readonly broken: (what: string) => void;
}

/** How long a run that has not begun is waited for before it is asked for, ms. */
const askMs = 2_000;
/** From a run's begin until its end is asked for first, and from then on, ms. */
const firstLookMs = 1_000;
const lookMs = 1_000;
/** How long one signal may take in all, ms: a hang guard, much longer than any back-off. */
const mostMs = 300_000;

function text(answer: Answer | undefined, property: string): string {
  const value = answer?.json[property];
  return typeof value === "string" ? value : "";
}

export class Caller {
  readonly #options: CallerOptions;
  /** Begun, and not known to have ended; in the order in which they are to be asked for. */
  #open: { readonly signal: Signal; readonly atMs: number }[] = [];

  constructor(options: CallerOptions) {
    this.#options = options;
  }

  /** Asks for the run of a key once. */
  async #post({ agent, key }: Signal): Promise<Answer | undefined> {
    const { admin, payload, answered } = this.#options;
    const answer = await admin.call("POST", `/agents/${agent}/signals`, { key, payload: payload(key) });
    if (answer !== undefined) answered();
    return answer;
  }

  /** Asks until there is an answer, and remembers it. Gives the run's id; undefined when everything is to stop. */
  async ask(signal: Signal): Promise<string | undefined> {
    const { stop, random, broken } = this.#options;
    const lastMs = performance.now() + mostMs;
    while (!stop.aborted) {
      const answer = await this.#post(signal);
      const [runId, state] = [text(answer, "runId"), text(answer, "state")];
      if (runId !== "") {
        signal.ids.add(runId);
        if (endStates.has(state)) this.#ended(signal, state);
        return runId;
      }
      if (answer !== undefined && answer.status !== 503)
        return void broken(`${signal.key}: ${String(answer.status)} ${JSON.stringify(answer.json)}`);
      if (performance.now() > lastMs) return void broken(`${signal.key}: no answer`);
      await sleep(20 + random() * 80);
    }
    return undefined;
  }

  /** Sends a signal, and ends when its agent has begun, or will not any more. */
  async send(signal: Signal): Promise<void> {
    const { stop, begins, broken } = this.#options;
    signal.askedMs = Date.now();
    const lastMs = performance.now() + mostMs;
    let runId = await this.ask(signal);
    while (runId !== undefined && !stop.aborted && !(await begins.wait(runId, askMs))) {
      runId = await this.ask(signal);
      if (signal.end !== undefined) break;
      if (performance.now() > lastMs) return broken(`${signal.key}: never begun`);
    }
    this.#open.push({ signal, atMs: performance.now() + firstLookMs });
  }

  /** Asks how each ended; ends when nothing is open and `over` says that nothing will come. */
  async settle(over: () => boolean): Promise<void> {
    const { stop, broken } = this.#options;
    while (!stop.aborted) {
      const next = this.#open.shift();
      if (next === undefined) {
        if (over()) return;
        await sleep(50);
        continue;
      }
      const { signal, atMs } = next;
      await sleep(Math.max(0, atMs - performance.now()));
      const runId = await this.ask(signal);
      if (runId === undefined) return;
      if (signal.end === undefined) {
        if (Date.now() - signal.askedMs > mostMs) return broken(`${signal.key}: no end`);
        this.#open.push({ signal, atMs: performance.now() + lookMs });
      } else if (signal.end.state === "interrupted" || this.#options.begins.of(runId).length > 1)
        await this.#look(signal, runId);
    }
  }

  #ended(signal: Signal, state: string): void {
    if (signal.end === undefined) signal.end = { state, heardMs: Date.now() };
    else if (signal.end.state !== state) signal.otherEnds += 1;
  }

  /** The runner's own word, while the Sentinel still has it. */
  async #look(signal: Signal, runId: string): Promise<void> {
    const { stop, admin } = this.#options;
    for (let answer: Answer | undefined; answer === undefined && !stop.aborted; await sleep(answer ? 0 : 50)) {
      answer = await admin.call("GET", `/runs/${runId}`);
      const report: unknown = answer?.json.report;
      if (typeof report !== "object" || report === null) continue;
      const [attempts, endedMs] = [Reflect.get(report, "attempts"), Reflect.get(report, "endedMs")];
      if (typeof attempts === "number")
        signal.report = { attempts, endedMs: typeof endedMs === "number" ? endedMs : null };
    }
  }
}
