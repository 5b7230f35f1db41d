/**
 * A runner's core in a small world: a disk, an agent, a Sentinel. Every step is chosen from outside, and between any two
 * the runner may be killed, the server started anew, an answer lost. What must hold is checked at every step, and at the
 * end, when the world has come to rest.
 */
import assert from "node:assert/strict";
import { encodeWebhookSecret, signWebhook } from "../../components/shared/signals/webhooks.ts";
import { acceptSignal } from "../../runtime-agent/src/runner/core/accept.ts";
import {
  decide,
  mostInterruptions,
  take,
  type Action,
  type Now,
  type RunnerEvent,
} from "../../runtime-agent/src/runner/core/decide.ts";
import type { UnitSeen } from "../../runtime-agent/src/runner/core/judge.ts";
import {
  applyChange,
  change,
  emptyState,
  snapshotOf,
  type Change,
  type RunnerState,
} from "../../runtime-agent/src/runner/core/state.ts";

export interface Play {
  readonly mode: "job" | "resident";
  readonly idempotent: boolean;
  readonly steps: number;
  /** A number in [0, n). */
  readonly choose: (n: number) => number;
}

const secret = encodeWebhookSecret(Buffer.alloc(32, 5));
const agent = "ghost";
const runIdOf = (n: number): string => `run_${n.toString(16).padStart(32, "0")}`;

/** What the world knows of one run; the runner does not see it. */
interface Truth {
  acknowledged: boolean;
  starts: number;
  completions: number;
  /** Whether the runner's disk holds an end of it. */
  recorded: boolean;
  delivered: string[];
}

type Unit = UnitSeen & { readonly runId: string | undefined };

export function playRunner({ mode, idempotent, steps, choose }: Play): void {
  const rules = { mode, idempotent };
  const truths = new Map<string, Truth>();
  const disk: Change[] = [];
  let sec = 1_800_000_000;
  let boot = 1;
  let invocations = 0;
  let unit: Unit = {
    invocation: "",
    active: "inactive",
    result: "success",
    exit: null,
    restarts: 0,
    burst: 3,
    kept: true,
    loaded: true,
    pending: false,
    runId: undefined,
  };
  let state: RunnerState = emptyState();
  let busyWith: string | undefined;
  let pending: Action | undefined;
  let seen: UnitSeen | undefined;
  let events: RunnerEvent[] = [];

  const truthOf = (runId: string): Truth => {
    const truth = truths.get(runId) ?? {
      acknowledged: false,
      starts: 0,
      completions: 0,
      recorded: false,
      delivered: [],
    };
    truths.set(runId, truth);
    return truth;
  };
  const begin = (runId: string): void => {
    const truth = truthOf(runId);
    assert.equal(truth.recorded, false, `${runId} was started after its end`);
    if (!idempotent) assert.equal(truth.starts, 0, `${runId} was started twice`);
    // Who completes unseen is done again if it says that this is safe: a resident, when its connection is gone.
    assert.ok(truth.completions === 0 || mode === "resident", `${runId} was started after it was completed`);
    truth.starts += 1;
    invocations += 1;
  };
  const complete = (runId: string): void => {
    const truth = truthOf(runId);
    truth.completions += 1;
    if (!idempotent) assert.equal(truth.completions, 1, `${runId} was completed twice`);
  };

  /** The runner is killed; what it had in memory is gone. */
  const crash = (): void => {
    state = emptyState();
    for (const line of disk) applyChange(state, change.parse(JSON.parse(JSON.stringify(line))));
    busyWith = undefined;
    pending = undefined;
    seen = undefined;
    events = [];
  };

  /** One turn. `fate` 1: killed before the journal; 2: killed after it, before anything else; 0: not. */
  const turn = (fate: number, signal?: { readonly n: number; readonly sec: number }): void => {
    const now: Now = {
      wallMs: sec * 1000,
      boot: String(boot),
      oomKills: 0,
      unit: seen,
      canStart: true,
      busyWith,
    };
    const changes: Change[] = [];
    const put = (more: readonly Change[]): void => {
      for (const one of more) applyChange(state, one);
      changes.push(...more);
    };
    for (const event of events) put(take(state, event, now, rules));
    events = [];
    let taken: string | undefined;
    if (signal !== undefined) {
      const runId = runIdOf(signal.n);
      const body = Buffer.from(JSON.stringify({ type: "run", agent, runId, payload: signal.n }));
      const headers = { ...signWebhook(`key-${String(signal.n)}`, signal.sec, body, secret) };
      const known = state.runs.get(runId);
      const verdict = acceptSignal(state, { headers, body }, { agent, secrets: [secret] }, sec * 1000);
      if (known !== undefined && signal.sec <= known.timestampSec) assert.equal(verdict.status, 401);
      else if (Math.abs(sec - signal.sec) <= 300) assert.ok(verdict.status === 200 || verdict.status === 202);
      if (verdict.status === 200 || verdict.status === 202) taken = runId;
      else assert.deepEqual(verdict.changes, []);
      put(verdict.changes);
    }
    const outcome = decide(state, now, rules);
    put(outcome.changes);
    if (fate === 1) return crash();
    disk.push(...changes);
    for (const one of changes) {
      if (one.kind === "run" && one.run.phase === "ended") truthOf(one.run.runId).recorded = true;
    }
    // A new segment begins with a snapshot, which may already hold what follows it.
    if (changes.length > 0 && choose(20) === 0) disk.splice(0, disk.length, ...snapshotOf(state), ...changes);
    if (fate === 2) return crash();
    if (taken !== undefined) truthOf(taken).acknowledged = true;
    assert.ok(outcome.actions.length <= 1);
    for (const action of outcome.actions) {
      assert.equal(pending, undefined, "one action at a time");
      pending = action;
      busyWith = action.run.runId;
    }
    seen = undefined;
  };

  /** systemd makes the start that waited in its queue. */
  const beginUnit = (runId: string): void => {
    begin(runId);
    unit = {
      ...unit,
      active: "active",
      result: "success",
      exit: null,
      restarts: 0,
      invocation: `i${String(invocations)}`,
      pending: false,
      runId,
    };
  };

  const finishUnit = (how: number): void => {
    if (unit.pending && unit.runId !== undefined) return beginUnit(unit.runId);
    if (unit.runId === undefined || unit.active !== "active") return;
    const { runId } = unit;
    if (how === 0) {
      complete(runId);
      unit = { ...unit, active: "inactive", result: "success", exit: 0 };
    } else if (how === 1) unit = { ...unit, active: "failed", result: "exit-code", exit: 3 };
    else unit = { ...unit, active: "failed", result: "signal", exit: "SIGKILL" };
    if (!idempotent || how === 0) return;
    // A failed unit of an idempotent agent is started again by systemd. The restart that its limit refuses is counted too.
    if (unit.restarts + 1 >= unit.burst) unit = { ...unit, restarts: unit.burst };
    else {
      begin(runId);
      unit = {
        ...unit,
        active: "active",
        exit: null,
        restarts: unit.restarts + 1,
        invocation: `i${String(invocations)}`,
      };
    }
  };

  /** The action under way comes to its end, or to a point where the runner is killed. */
  const act = (fate: number, how: number): void => {
    const action = pending;
    if (action === undefined) return;
    pending = undefined;
    if (fate === 1) return crash();
    const { runId } = action.run;
    if (action.kind === "start") {
      // The network is not there yet: the start waits, and systemctl with it, until it gives up.
      if (how === 3) unit = { ...unit, pending: true, runId };
      else beginUnit(runId);
      if (fate === 2) return crash();
      seen = unit;
    } else if (action.kind === "collect") {
      const completed = truthOf(runId).completions > 0;
      const result = completed ? ({ kind: "json", value: 1 } as const) : ({ kind: "none" } as const);
      events.push({ kind: "left", runId, unit: action.unit, oomKills: 0, result, logTail: "" });
    } else {
      const answered = (answer: (RunnerEvent & { readonly kind: "answered" })["answer"]): void => {
        events.push({ kind: "answered", runId, oomKills: 0, logTail: "", answer });
      };
      if (how === 3) answered({ kind: "unreachable", reason: "no agent" });
      else {
        begin(runId);
        if (fate === 2) return crash();
        if (how === 2) answered({ kind: "broken", reason: "gone" });
        else if (how === 1) answered({ kind: "error", reason: "no" });
        else {
          complete(runId);
          answered({ kind: "ok", value: 1 });
        }
      }
    }
    busyWith = undefined;
  };

  const deliver = (fate: number): void => {
    const [oldest] = state.outbox.keys();
    const report = state.runs.get(oldest ?? "")?.report;
    if (oldest === undefined || report === null || report === undefined) return;
    if (fate === 1) return crash();
    truthOf(oldest).delivered.push(report.state);
    if (fate === 2) return crash();
    // The Sentinel's answer may be lost on the way.
    if (fate !== 3) events.push({ kind: "delivered", runId: oldest });
  };

  let signals = 0;
  const step = (kind: number, fate: number): void => {
    switch (kind) {
      case 0:
        signals += 1;
        return turn(fate, { n: signals, sec });
      case 1:
        // A redelivery, a replay, or something stale.
        if (signals === 0) return;
        return turn(fate, { n: 1 + choose(signals), sec: sec - ([0, 1, 301][choose(3)] ?? 0) });
      case 2:
        return finishUnit(choose(3));
      case 3:
        if (busyWith === undefined && mode === "job") seen = unit;
        return turn(fate);
      case 4:
        return act(fate, choose(4));
      case 5:
        return deliver(fate);
      case 6:
        sec += 1 + choose(400);
        return;
      default:
        // The server is started anew: nothing of the unit is left.
        if (choose(6) !== 0) return;
        boot += 1;
        unit = {
          ...unit,
          invocation: "",
          active: "inactive",
          result: "success",
          exit: null,
          restarts: 0,
          pending: false,
          runId: undefined,
        };
        return crash();
    }
  };

  for (let n = 0; n < steps; n += 1) step(choose(8), choose(8) < 4 ? 0 : choose(4));

  // The world comes to rest: nobody is killed any more, the agent succeeds, the Sentinel answers.
  for (let n = 0; n < 40 + 40 * signals * (mostInterruptions + 1); n += 1) {
    if (state.queue.size === 0 && state.running === undefined && state.outbox.size === 0 && events.length === 0) break;
    if (busyWith === undefined && mode === "job") seen = unit;
    turn(0);
    act(0, 0);
    finishUnit(0);
    deliver(0);
  }

  for (const [runId, truth] of truths) {
    if (!truth.acknowledged) continue;
    assert.ok(truth.delivered.length > 0, `${runId} was acknowledged, and its end never told`);
    assert.equal(new Set(truth.delivered).size, 1, `${runId} was told as ${truth.delivered.join(" and ")}`);
    const told = truth.delivered[0];
    if (told === "completed") assert.ok(truth.completions > 0, `${runId} was told completed, and was not`);
    if (told === "failed" && !idempotent)
      assert.equal(truth.completions, 0, `${runId} was told failed, and was completed`);
    assert.equal(state.runs.get(runId)?.phase, "delivered");
  }
}
