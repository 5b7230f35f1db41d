/**
 * The Sentinel's loop: takes events one after the other, journals what was decided, then acts and answers. What takes long
 * (a runner, a file) runs beside it and comes back as an event.
 */
import { createHash, randomBytes } from "node:crypto";
import type { JSONType } from "zod";
import type { RunReport } from "../../../components/shared/signals/protocol.ts";
import type { Clock } from "../shared/clock.ts";
import { failpoint } from "../shared/failpoints.ts";
import type { Log } from "../shared/log.ts";
import type { Bodies } from "./bodies.ts";
import { decide, nextDueMs } from "./core/decide.ts";
import type { Action, Event, Now, Outcome, Policy, Reply } from "./core/events.ts";
import { refusal } from "./core/events.ts";
import { unfitPayload } from "./core/payload.ts";
import { endsRun } from "./core/runs.ts";
import type { SentinelState } from "./core/state.ts";
import type { AgentRecord, Body, Run } from "./core/types.ts";
import type { Extension, News } from "./extension.ts";
import { runExtensions } from "./extensionTurn.ts";
import type { KeyStore } from "./keyStore.ts";
import type { Ledger } from "./ledger.ts";

/** How a try to deliver ended, with the report in hand. See `Delivery` of the core. */
export type Delivered =
  | { readonly kind: "taken"; readonly report: RunReport }
  | { readonly kind: "later" | "unknown" | "never"; readonly reason: string };
/** A run's report, no such run, or no answer. */
export type Asked =
  { readonly kind: "report"; readonly report: RunReport } | { readonly kind: "no-such-run" | "nothing" };

/** How runners are spoken to. Neither throws. */
export interface Runners {
  deliver(run: Run, agent: AgentRecord, payload: string): Promise<Delivered>;
  ask(runId: string, agent: AgentRecord): Promise<Asked>;
}

export interface SignalAsked {
  readonly agent: string;
  readonly key: string;
  readonly payload: JSONType;
  /** When the caller made the key; one that is older than keys are known for is refused. */
  readonly issuedMs?: number | undefined;
}

export interface LoopParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly state: SentinelState;
  readonly policy: Policy;
  readonly ledger: Ledger;
  readonly keys: KeyStore;
  readonly bodies: Bodies;
  readonly runners: Runners;
  readonly extensions: readonly Extension[];
  /** Ends the connections of an agent whose key is void. */
  readonly cutOff: (agent: string) => void;
  /** For so long after the start, and after each step of the wall clock, no server is handed to the reaper, ms. */
  readonly holdMs: number;
  /** Told of each outcome once it is on the disk. */
  readonly onOutcome?: (event: Event, outcome: Outcome) => void;
}

export interface SentinelLoop {
  /** Ends with the answer, once what was decided is on the disk. */
  take(event: Event): Promise<Reply>;
  signal(asked: SignalAsked): Promise<Reply>;
  /** A report from the server of an agent's life `life`. */
  result(from: Pick<AgentRecord, "name" | "life">, report: RunReport): Promise<Reply>;
  /** One turn: what is due by the clock, and the extensions. Throws nothing. */
  turn(): void;
  /** How long nothing is due, ms; at most a second. */
  restMs(): number;
  /** Ends when nothing is under way. */
  settled(): Promise<void>;
}

const periodMs = 1000;
/** A wall clock that moves this much against the monotonic one was stepped, ms. */
const stepMs = 60_000;
const dayMs = 86_400_000;

const diskFull = refusal(503, "nothing can be journaled now", "Free space on the Sentinel's disk; its log says more.");

/** Events that somebody waits for an answer to: while nothing can be journaled they are refused, not kept waiting. */
const refusable: ReadonlySet<Event["kind"]> = new Set<Event["kind"]>([
  ...(["new", "mint", "renew", "resize", "remove", "register", "farewell"] as const),
  ...(["result", "signal", "retry", "give-up"] as const),
]);

export function createLoop(parts: LoopParts): SentinelLoop {
  const { clock, log, state, policy, ledger, keys, bodies } = parts;
  const flying = new Set<Promise<void>>();
  let news: News[] = [];
  let heldUntilMs = clock.monotonicMs() + parts.holdMs;
  let offsetMs = clock.wallMs() - clock.monotonicMs();
  let keysDay = -1;

  function moment(): Now {
    return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs(), random: Math.random };
  }

  function beside(what: string, work: () => Promise<void>): void {
    const running = work().catch((error: unknown) => log.error(what, { error }));
    flying.add(running);
    void running.finally(() => flying.delete(running));
  }

  async function release(event: Event, outcome: Outcome): Promise<void> {
    // At once: until then whoever came by the older key is taken for the agent.
    for (const action of outcome.actions) if (action.kind === "cut-off") parts.cutOff(action.agent);
    await ledger.put(outcome.lines);
    news.push(...outcome.news);
    parts.onOutcome?.(event, outcome);
    for (const line of outcome.lines)
      if (line.kind === "step" && line.step.phase === "ended") void bodies.drop(state.shed(line.runId));
    for (const action of outcome.actions) beside(action.kind, () => carryOut(action));
  }

  async function take(event: Event): Promise<Reply> {
    if (refusable.has(event.kind) && ledger.fault() !== undefined) return diskFull;
    const outcome = decide(state, event, moment(), policy);
    const released = release(event, outcome);
    // A lease is not journaled: a full disk takes none away.
    if (event.kind === "heartbeat") beside("heartbeat", () => released);
    else await released;
    await failpoint("sentinel.before-reply");
    return outcome.reply;
  }

  async function carryOut(action: Action): Promise<void> {
    switch (action.kind) {
      case "deliver":
        return deliver(action.run, action.agent);
      case "ask":
        return ask(action.runId, action.agent);
      case "forget":
        return forget(action.runs);
      case "cut-off":
        return;
    }
  }

  /** Keeps the report of an end; undefined when there is nothing to keep. */
  async function keep(name: string, report: RunReport): Promise<Body | undefined> {
    return endsRun(state, name, report) ? bodies.put(report.runId, JSON.stringify(report)) : undefined;
  }

  /** A report that came in second is not kept. */
  async function dropUnless(runId: string, body: Body | undefined): Promise<void> {
    const kept = state.runs.get(runId)?.end?.report;
    if (JSON.stringify(kept) !== JSON.stringify(body)) await bodies.drop(body);
  }

  async function deliver(run: Run, agent: AgentRecord): Promise<void> {
    const { runId, sentSec } = run;
    const told = { kind: "delivered", runId, sentSec, life: agent.life } as const;
    const payload = run.payload === undefined ? undefined : await bodies.get(run.payload);
    await failpoint("sentinel.before-act");
    const said: Delivered =
      payload === undefined
        ? { kind: "never", reason: "its payload cannot be read" }
        : await parts.runners.deliver(run, agent, payload);
    await failpoint("sentinel.after-act");
    if (said.kind !== "taken") return void (await take({ ...told, outcome: said }));
    try {
      const body = await keep(agent.name, said.report);
      await take({ ...told, outcome: { ...said, body } });
      await dropUnless(runId, body);
    } catch (error) {
      log.error("report", { runId, error });
      const outcome = { kind: "unknown", reason: "the Sentinel could not keep its report" } as const;
      await take({ ...told, outcome });
    }
  }

  async function ask(runId: string, agent: AgentRecord): Promise<void> {
    const said = await parts.runners.ask(runId, agent);
    if (said.kind !== "report") return void (await take({ kind: "asked", runId, life: agent.life, answer: said }));
    const body = await keep(agent.name, said.report).catch((error: unknown) => {
      log.error("report", { runId, error });
      return null;
    });
    const answer = body === null ? ({ kind: "nothing" } as const) : { ...said, body };
    await take({ kind: "asked", runId, life: agent.life, answer });
    await dropUnless(runId, body ?? undefined);
  }

  async function forget(runs: readonly Run[]): Promise<void> {
    try {
      await keys.add(
        runs.map(({ agent, key, runId, digest, end, acceptedMs }) => {
          return { agent, key, runId, digest, state: end?.state ?? "failed", endedMs: end?.atMs ?? acceptedMs };
        }),
      );
    } catch (error) {
      for (const { runId } of runs) state.forgetting.delete(runId);
      throw error;
    }
    await take({ kind: "forgotten", runIds: runs.map(({ runId }) => runId) });
    for (const { end } of runs) await bodies.drop(end?.report);
  }

  async function signal({ agent, key, payload, issuedMs }: SignalAsked): Promise<Reply> {
    const json = JSON.stringify(payload);
    const unfit = unfitPayload(json);
    if (unfit !== undefined) return unfit;
    const digest = createHash("sha256").update(json, "utf8").digest("hex");
    const runId = `run_${randomBytes(16).toString("hex")}`;
    const body = await bodies.put(runId, json);
    const known = keys.find(agent, key);
    const reply = await take({
      kind: "signal",
      signal: { agent, key, digest, payload: body, runId, known, keys: keys.size, issuedMs },
    });
    if (!state.runs.has(runId)) await bodies.drop(body);
    return reply;
  }

  /** Whether the wall clock can be believed enough to have a server deleted. */
  function mayHandOver(): boolean {
    const nowMs = clock.monotonicMs();
    const offset = clock.wallMs() - nowMs;
    if (Math.abs(offset - offsetMs) > stepMs) {
      heldUntilMs = Math.max(heldUntilMs, nowMs + parts.holdMs);
      log.warning("the wall clock was stepped; no server is handed to the reaper for now", {
        stepMs: offset - offsetMs,
      });
    }
    offsetMs = offset;
    return nowMs >= heldUntilMs;
  }

  function dropOldKeys(): void {
    const day = Math.floor(clock.wallMs() / dayMs);
    if (day === keysDay || clock.monotonicMs() < heldUntilMs) return;
    keysDay = day;
    beside("keys", () => keys.dropBefore(clock.wallMs() - policy.keyMs));
  }

  function turn(): void {
    beside("tick", async () => void (await take({ kind: "tick", handOver: mayHandOver() })));
    dropOldKeys();
    const told = news;
    news = [];
    runExtensions(parts, told, (extension, action) =>
      beside(extension.name, async () => {
        const { name } = extension;
        let status = 500;
        try {
          const reply =
            action.kind === "signal" ? await signal(action) : await take({ kind: "extension", name, action });
          status = reply.status;
          if (status >= 400) log.warning("refused", { extension: name, asked: action.kind, why: reply.json });
        } finally {
          extension.settled?.(action, status);
        }
      }),
    );
  }

  return {
    take,
    signal,
    async result({ name, life }, report) {
      // While its text is kept, another server may take the sender's place: the core looks at the life.
      const body = await keep(name, report);
      const reply = await take({ kind: "result", name, life, report, body });
      await dropUnless(report.runId, body);
      return reply;
    },
    turn,
    restMs() {
      const due = nextDueMs(state, moment(), policy);
      return due === undefined ? periodMs : Math.min(periodMs, Math.max(1, due - clock.monotonicMs()));
    },
    async settled() {
      while (flying.size > 0) await Promise.all(flying);
    },
  };
}
