import assert from "node:assert/strict";
import fc from "fast-check";
import { runReport } from "../../components/shared/signals/protocol.ts";
import { encodeWebhookSecret, signWebhook } from "../../components/shared/signals/webhooks.ts";
import { acceptSignal, type Verdict } from "../../runtime-agent/src/runner/core/accept.ts";
import { take, type ResultSeen } from "../../runtime-agent/src/runner/core/decide.ts";
import { inCrashLoop, judge, startsOf, type UnitSeen } from "../../runtime-agent/src/runner/core/judge.ts";
import { isShallow } from "../../components/shared/signals/shallow.ts";
import {
  applyChange,
  change,
  emptyState,
  runRecord,
  snapshotOf,
  type Run,
  type RunnerState,
} from "../../runtime-agent/src/runner/core/state.ts";
import { playRunner } from "../support/runnerModel.ts";

const secret = encodeWebhookSecret(Buffer.alloc(32, 3));
const rules = { agent: "ghost", secrets: [secret] };
const nowMs = 1_800_000_000_000;
const nowSec = nowMs / 1000;
const idOf = (n: number): string => `run_${n.toString(16).padStart(32, "0")}`;

function bodyOf(n: number, payload: unknown = { n }, agent = "ghost"): Buffer {
  return Buffer.from(JSON.stringify({ type: "run", agent, runId: idOf(n), payload }));
}

interface Sent {
  readonly key?: string;
  readonly body?: Buffer;
  readonly sec?: number;
  readonly atMs?: number;
}

/** Sends a signal to a state, and takes over what it changes. */
function send(state: RunnerState, { key = "k1", body = bodyOf(1), sec = nowSec, atMs = nowMs }: Sent): Verdict {
  const headers = { ...signWebhook(key, sec, body, secret) };
  const verdict = acceptSignal(state, { headers, body }, rules, atMs);
  for (const one of verdict.changes) applyChange(state, one);
  return verdict;
}

describe("a signal at its runner", () => {
  it("is taken once, and then told how its run stands", () => {
    const state = emptyState();
    const first = send(state, {});
    assert.equal(first.status, 202);
    assert.ok("report" in first);
    assert.deepEqual(runReport.parse(first.report).state, "queued");
    assert.equal(send(state, { sec: nowSec + 1 }).status, 200);
    assert.equal(state.queue.size, 1);
    assert.equal(state.payloads.get(idOf(1)), '{"n":1}');
  });

  it("is a replay with the same or an older time, whatever happened since", () => {
    const state = emptyState();
    send(state, { sec: nowSec });
    for (const sec of [nowSec, nowSec - 1]) {
      const verdict = send(state, { sec });
      assert.equal(verdict.status, 401);
      assert.deepEqual(verdict.changes, []);
    }
    assert.equal(send(state, { sec: nowSec + 2 }).status, 200);
    assert.equal(send(state, { sec: nowSec + 1 }).status, 401, "the newest time that was believed counts");
  });

  it("is refused with the same key and another body, and with another key and the same run", () => {
    const state = emptyState();
    send(state, {});
    assert.equal(send(state, { sec: nowSec + 1, body: bodyOf(1, "other") }).status, 409);
    assert.equal(send(state, { key: "k2", sec: nowSec + 1 }).status, 409);
    assert.equal(state.runs.size, 1);
  });

  it("is refused unsigned, stale, for another agent, of another form, too long or too deep", () => {
    const state = emptyState();
    const body = bodyOf(1);
    const judged = (headers: Record<string, string>) => acceptSignal(state, { headers, body }, rules, nowMs).status;
    assert.equal(judged({}), 401);
    assert.equal(judged({ ...signWebhook("k", nowSec, body, encodeWebhookSecret(Buffer.alloc(32, 4))) }), 401);
    assert.equal(send(state, { sec: nowSec - 301 }).status, 401);
    assert.equal(send(state, { body: bodyOf(1, 1, "other") }).status, 400);
    for (const text of ["", "{}", "null", '{"type":"run"}', "\ufeff{}", "[".repeat(100_000)]) {
      assert.equal(send(state, { body: Buffer.from(text) }).status, 400, text.slice(0, 20));
    }
    assert.equal(send(state, { body: Buffer.from([0xff, 0xfe]) }).status, 400);
    assert.equal(send(state, { body: bodyOf(1, JSON.parse("[".repeat(300) + "]".repeat(300))) }).status, 400);
    assert.equal(send(state, { body: bodyOf(1, "x".repeat(300_000)) }).status, 413);
    // 1e20 is four characters on its way, and 21 digits when it is written anew.
    const swollen = `{"type":"run","agent":"ghost","runId":"${idOf(1)}","payload":[${"1e20,".repeat(40_000)}1]}`;
    assert.equal(send(state, { body: Buffer.from(swollen) }).status, 413);
    const keyless = send(state, { key: "no such form" });
    assert.equal(keyless.status, 400);
    assert.match(JSON.stringify(keyless), /letters, digits, _, \., : and -/);
    assert.equal(state.runs.size, 0);
    assert.equal(send(state, { key: "Aa0_.:-" }).status, 202);
  });

  it("finds no room in a full queue, nor on a server whose time is over; the known ones are still answered", () => {
    const state = emptyState();
    const big = "x".repeat(200_000);
    const answers = Array.from(
      { length: 60 },
      (_, n) => send(state, { key: `k${String(n)}`, body: bodyOf(n, big) }).status,
    );
    assert.equal(answers.filter((status) => status === 202).length, 41);
    assert.equal(answers.at(-1), 503);
    assert.ok(state.payloadBytes <= 8 * 1024 * 1024);
    applyChange(state, { kind: "expires", expiresMs: nowMs });
    assert.equal(send(state, { key: "late", body: bodyOf(99) }).status, 410);
    assert.equal(send(state, { key: "k0", body: bodyOf(0, big), sec: nowSec + 1 }).status, 200);
  });

  it("is forgotten in the end, and its copies are refused all the same, even with the clock set back", () => {
    const state = afterMany(10_000, (n) => nowSec + n);
    const late = { key: "new", body: bodyOf(10_000), sec: nowSec + 10_000, atMs: nowMs + 10_000_000 };
    assert.equal(send(state, late).status, 202);
    assert.equal(state.runs.size, 10_000);
    assert.equal(state.floorSec, nowSec);
    assert.equal(send(state, { key: "k0", body: bodyOf(0), sec: nowSec, atMs: nowMs }).status, 401);
    assert.equal(send(state, { key: "k5", body: bodyOf(5), sec: nowSec + 5, atMs: nowMs }).status, 401);
  });
});

/** A state with so many delivered runs, signed at these times. */
function afterMany(count: number, secOf: (n: number) => number): RunnerState {
  const state = emptyState();
  send(state, { key: "k0", body: bodyOf(0) });
  const first = state.runs.get(idOf(0));
  assert.ok(first !== undefined);
  for (let n = 0; n < count; n += 1) {
    const its = { runId: idOf(n), key: `k${String(n)}`, timestampSec: secOf(n) };
    applyChange(state, { kind: "run", run: { ...first, ...its, phase: "delivered" } });
  }
  return state;
}

describe("what a runner remembers", () => {
  it("comes back from its snapshot as it was", () => {
    const state = emptyState();
    for (let n = 0; n < 5; n += 1) send(state, { key: `k${String(n)}`, body: bodyOf(n) });
    const [a, b, c] = [...state.runs.values()];
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    const start = { boot: "b", before: "" };
    applyChange(state, { kind: "run", run: { ...a, phase: "delivered" } });
    applyChange(state, { kind: "run", run: { ...b, phase: "ended" } });
    applyChange(state, { kind: "run", run: { ...c, phase: "running", start } });
    applyChange(state, { kind: "expires", expiresMs: 5 });
    applyChange(state, { kind: "floor", floorSec: 7 });
    const again = emptyState();
    for (const one of snapshotOf(state)) applyChange(again, change.parse(JSON.parse(JSON.stringify(one))));
    assert.deepEqual(again, state);
    // A snapshot may already hold the effect of the lines that follow it.
    for (const one of snapshotOf(state)) applyChange(again, one);
    assert.deepEqual(again, state);
  });

  it("puts a run that is to be done again before all others", () => {
    const state = emptyState();
    for (let n = 0; n < 3; n += 1) send(state, { key: `k${String(n)}`, body: bodyOf(n) });
    const first = state.runs.get(idOf(0));
    assert.ok(first !== undefined);
    applyChange(state, { kind: "run", run: { ...first, phase: "running" } });
    applyChange(state, { kind: "run", run: { ...first, phase: "queued" } });
    assert.deepEqual([...state.queue], [idOf(0), idOf(1), idOf(2)]);
    assert.equal(state.running, undefined);
  });
});

describe("a runner with very many signals", () => {
  it("forgets the delivered ones sooner, and is never full of them", () => {
    const state = afterMany(20_000, (n) => nowSec + Math.floor(n / 500));
    const at = (sec: number, n: number): Verdict =>
      send(state, { key: `n${String(n)}`, body: bodyOf(n), sec: nowSec + sec, atMs: nowMs + sec * 1000 });
    assert.equal(at(29, 30_000).status, 202);
    assert.equal(state.floorSec, 0, "too young to be forgotten");
    assert.equal(at(40, 30_001).status, 202);
    assert.equal(state.floorSec, nowSec);
    assert.equal(state.runs.size, 20_001);
  });
});

describe("news of a run", () => {
  it("counts only while it is under way", () => {
    const state = emptyState();
    send(state, {});
    const now = { wallMs: nowMs, boot: "b", oomKills: 0, unit: undefined, canStart: true, busyWith: undefined };
    const told = { runId: idOf(1), oomKills: 0, logTail: "" };
    const changesOf = () =>
      [
        { kind: "refused", runId: idOf(1), reason: "late" } as const,
        { ...told, kind: "answered", answer: { kind: "ok", value: 1 } } as const,
        { kind: "delivered", runId: idOf(1) } as const,
        { kind: "delivered", runId: idOf(2) } as const,
      ].flatMap((event) => take(state, event, now, { mode: "job", idempotent: true }));
    assert.deepEqual(changesOf(), []);
    const run = state.runs.get(idOf(1));
    assert.ok(run !== undefined);
    applyChange(state, { kind: "run", run: { ...run, phase: "delivered" } });
    assert.deepEqual(changesOf(), []);
  });
});

describe("what systemd says of a unit", () => {
  const run: Run = runRecord.parse({
    runId: idOf(1),
    key: "k",
    body: "0".repeat(64),
    timestampSec: 1,
    phase: "running",
    attempts: 0,
    interruptions: 0,
    startedMs: 1,
    start: { boot: "b", before: "old" },
    oomKillsBefore: 0,
    report: null,
  });
  const unit: UnitSeen = {
    invocation: "new",
    active: "inactive",
    result: "success",
    exit: 0,
    restarts: 0,
    burst: 5,
    kept: true,
    loaded: true,
    pending: false,
  };
  const judged = (seen: Partial<UnitSeen>, boot = "b", before = "old", oomKills = 0) =>
    judge({ ...unit, ...seen }, { ...run, start: { boot: "b", before } }, boot, oomKills);
  const kindOf = (...args: Parameters<typeof judged>) => judged(...args).kind;
  const reasonOf = (...args: Parameters<typeof judged>) => {
    const it = judged(...args);
    return "reason" in it ? it.reason : it.kind;
  };

  it("tells how a run ended", () => {
    assert.equal(kindOf({}), "completed");
    assert.equal(kindOf({ active: "active", exit: null }), "running");
    assert.equal(kindOf({ active: "activating", result: "exit-code", exit: 1 }), "running", "waits for its restart");
    assert.equal(kindOf({ active: "failed", result: "exit-code", exit: 3 }), "failed");
    assert.equal(kindOf({ active: "failed", result: "oom-kill", exit: "SIGKILL" }), "interrupted");
    assert.equal(kindOf({ exit: "SIGTERM" }), "interrupted", "stopped by hand: systemd counts that as success");
    const loop = { active: "failed", result: "signal", exit: "SIGSEGV", restarts: 5 } as const;
    assert.equal(kindOf(loop), "failed", "a crash loop");
    assert.equal(kindOf({ ...loop, restarts: 2 }), "interrupted", "stopped by hand before its loop ended");
    assert.equal(reasonOf({}, "another boot"), "the server was started anew");
  });

  it("tells that the kernel killed for memory, which systemd with OOMPolicy=continue calls a signal", () => {
    const killed = { active: "failed", result: "signal", exit: "SIGKILL" } as const;
    assert.equal(reasonOf(killed, "b", "old", 1), "the agent was ended by SIGKILL (signal); out of memory, 1 kill");
    assert.equal(reasonOf(killed), "the agent was ended by SIGKILL (signal)");
    const child = { active: "failed", result: "exit-code", exit: 137 } as const;
    assert.equal(reasonOf(child, "b", "old", 2), "the agent exited with 137 (exit-code); out of memory, 2 kills");
    const loop = reasonOf({ ...killed, restarts: 5 }, "b", "old", 5);
    assert.equal(loop, "a crash loop, ended by the start limit (signal); out of memory, 5 kills");
  });

  it("tells whether a start was made at all", () => {
    assert.equal(kindOf({ invocation: "old" }), "not begun");
    assert.equal(kindOf({ invocation: "" }, "b", ""), "not begun");
    assert.equal(kindOf({ invocation: "", kept: false }, "b", ""), "forgotten");
    assert.equal(kindOf({ invocation: "", kept: false }), "forgotten");
    assert.equal(kindOf({ invocation: "old", active: "active" }), "running", "somebody started it by hand");
    assert.equal(kindOf({ invocation: "old", pending: true }), "running", "its start waits in systemd's queue");
    assert.equal(kindOf({ invocation: "", kept: false, pending: true }, "b", ""), "running");
  });

  it("is not needed for a run whose result outlived the server's restart", () => {
    const state = emptyState();
    send(state, {});
    const queued = state.runs.get(idOf(1));
    assert.ok(queued !== undefined);
    const start = { boot: "b", before: "" };
    applyChange(state, { kind: "run", run: { ...queued, phase: "running", startedMs: 1, start } });
    const seen = { ...unit, invocation: "", exit: null };
    const now = { wallMs: nowMs, boot: "c", oomKills: 0, unit: seen, canStart: true, busyWith: undefined };
    const ended = (result: ResultSeen, idempotent: boolean) => {
      const left = { kind: "left", runId: idOf(1), unit: seen, oomKills: 0, result, logTail: "" } as const;
      return take(state, left, now, { mode: "job", idempotent }).map((one) =>
        one.kind === "run" ? [one.run.phase, one.run.report?.state, one.run.report?.reason] : one.kind,
      );
    };
    const anew = "the server was started anew";
    for (const idempotent of [false, true]) {
      assert.deepEqual(ended({ kind: "json", value: 1 }, idempotent), [["ended", "completed", null]]);
    }
    for (const none of [{ kind: "none" }, { kind: "bad", reason: "half of it" }] as const) {
      assert.deepEqual(ended(none, false), [["ended", "interrupted", anew]]);
      assert.deepEqual(ended(none, true), [["queued", undefined, undefined]]);
    }
  });

  it("tells a crash loop, also when it keeps the word of the last failure", () => {
    const failed = { ...unit, active: "failed", result: "exit-code" };
    assert.equal(inCrashLoop({ ...failed, result: "start-limit-hit" }), true);
    assert.equal(inCrashLoop({ ...failed, restarts: 5 }), true);
    assert.equal(inCrashLoop({ ...failed, restarts: 4 }), false, "stopped by hand");
    assert.equal(inCrashLoop({ ...failed, restarts: 5, active: "activating" }), false, "it waits for its restart");
    assert.equal(inCrashLoop({ ...failed, burst: 0, restarts: 9 }), false, "there is no limit");
  });

  it("counts the starts that were made: the one that the limit refused is none", () => {
    const failed = { ...unit, active: "failed", result: "exit-code", exit: 3 };
    assert.equal(startsOf(unit), 1);
    assert.equal(startsOf({ ...failed, restarts: 2 }), 3);
    assert.equal(startsOf({ ...failed, restarts: 5 }), 5);
    assert.equal(startsOf({ ...failed, result: "start-limit-hit" }), 1);
  });
});

describe("the depth of a JSON text", () => {
  it("is that of its brackets outside of strings", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        assert.equal(isShallow(text), true);
        assert.equal(isShallow(JSON.stringify("[".repeat(500) + text)), true);
        assert.equal(isShallow(`${"[".repeat(201)}${text}`), false);
      }),
    );
  });
});

describe("a runner with its agent, killed at any point", () => {
  // The model is in test/support/runnerModel.ts: a unit, a disk and a Sentinel, each as simple as it can be.
  for (const mode of ["job", "resident"] as const) {
    for (const idempotent of [false, true]) {
      it(`keeps the guarantee: ${mode}, ${idempotent ? "idempotent" : "not idempotent"}`, () => {
        fc.assert(
          fc.property(
            fc.infiniteStream(fc.nat({ max: 999_999 })),
            fc.integer({ min: 5, max: 120 }),
            (choices, steps) => {
              playRunner({ mode, idempotent, steps, choose: (n) => (choices.next().value ?? 0) % n });
            },
          ),
          { numRuns: 120 },
        );
      });
    }
  }
});
