import assert from "node:assert/strict";
import { encodeWebhookSecret, signWebhook } from "../../components/shared/signals/webhooks.ts";
import type { Action, Now } from "../../runtime-agent/src/runner/core/decide.ts";
import type { UnitSeen } from "../../runtime-agent/src/runner/core/judge.ts";
import { emptyState } from "../../runtime-agent/src/runner/core/state.ts";
import { createDesk, type Desk } from "../../runtime-agent/src/runner/desk.ts";
import { createWork, type Work } from "../../runtime-agent/src/runner/work.ts";
import { manualClock, type ManualClock } from "../../runtime-agent/src/shared/clock.ts";
import type { Journal, JournalEntry } from "../../runtime-agent/src/shared/journal/index.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";

const nowMs = 1_800_000_000_000;
const secret = encodeWebhookSecret(Buffer.alloc(32, 9));
const log = createLog({ write: () => undefined });
const runIdOf = (n: number): string => `run_${String(n).padStart(32, "0")}`;
const atRest: UnitSeen = {
  invocation: "old",
  active: "inactive",
  result: "success",
  exit: 0,
  restarts: 0,
  burst: 5,
  kept: true,
  loaded: true,
  pending: false,
};

/** Lets everything run that waits for nothing but its turn. */
async function settle(): Promise<void> {
  for (let n = 0; n < 50; n += 1) await new Promise((resolve) => setImmediate(resolve));
}

function signalOf(n: number, sec = nowMs / 1000) {
  const body = Buffer.from(JSON.stringify({ type: "run", agent: "ghost", runId: runIdOf(n), payload: n }));
  return { headers: { ...signWebhook(`key-${String(n)}`, sec, body, secret) }, body };
}

interface FakeDisk extends Pick<Journal, "append" | "entries"> {
  readonly batches: (readonly object[])[];
  fail: boolean;
  /** Ends the write under way, when `hold` was set. */
  release: (() => void) | undefined;
  hold: boolean;
}

function fakeDisk(): FakeDisk {
  const disk: FakeDisk = {
    batches: [],
    fail: false,
    hold: false,
    release: undefined,
    async append(entries) {
      if (disk.hold) await new Promise<void>((resolve) => (disk.release = resolve));
      if (disk.fail) throw new Error("no space");
      disk.batches.push(entries);
    },
    async *entries(): AsyncGenerator<JournalEntry> {
      for (const entry of disk.batches.flat()) {
        yield { kind: "entry", value: Object.fromEntries(Object.entries(JSON.parse(JSON.stringify(entry)))) };
      }
    },
  };
  return disk;
}

function deskOn(disk: FakeDisk, look: () => Omit<Now, "wallMs">) {
  const acted: Action[] = [];
  const failures: unknown[] = [];
  let turns = 0;
  const desk = createDesk(
    {
      clock: manualClock(nowMs),
      log,
      journal: disk,
      accept: () => ({ agent: "ghost", secrets: [secret] }),
      rules: { mode: "job", idempotent: false },
      look,
      act: (action) => acted.push(action),
      turned: () => (turns += 1),
      failed: (error) => failures.push(error),
    },
    emptyState(),
  );
  return { desk, acted, failures, turns: () => turns };
}

const idleLook = (): Omit<Now, "wallMs"> => ({
  boot: "b",
  oomKills: 0,
  unit: undefined,
  canStart: true,
  busyWith: undefined,
});

describe("the runner's desk", () => {
  it("answers a signal when it is on the disk, and not before; those that come together share a write", async () => {
    const disk = fakeDisk();
    disk.hold = true;
    const { desk } = deskOn(disk, idleLook);
    let answered = 0;
    const all = [1, 2, 3].map((n) => desk.signal(signalOf(n)).then(({ status }) => ((answered += 1), status)));
    await settle();
    assert.equal(answered, 0);
    disk.release?.();
    await settle();
    disk.hold = false;
    disk.release?.();
    assert.deepEqual(await Promise.all(all), [202, 202, 202]);
    assert.equal(disk.batches.length, 2, "the first alone, the others together");
  });

  it("takes nothing for done that could not be written, and goes on when the disk does", async () => {
    const disk = fakeDisk();
    const { desk, acted, turns } = deskOn(disk, () => ({ ...idleLook(), unit: atRest }));
    disk.fail = true;
    assert.equal((await desk.signal(signalOf(1))).status, 503);
    desk.tell({ kind: "expires", expiresMs: nowMs + 5 });
    await settle();
    assert.deepEqual([desk.state().runs.size, desk.state().expiresMs, acted.length], [0, undefined, 0]);
    assert.ok(turns() >= 2, "it is alive all the same");
    disk.fail = false;
    assert.equal((await desk.signal(signalOf(1))).status, 202);
    assert.equal(desk.state().expiresMs, nowMs + 5, "an event is not lost with the write");
    assert.deepEqual(
      acted.map(({ kind }) => kind),
      ["start"],
    );
  });

  it("shows a report to the Sentinel only when it is on the disk", async () => {
    const disk = fakeDisk();
    let unit: UnitSeen = atRest;
    const { desk } = deskOn(disk, () => ({ ...idleLook(), unit }));
    await desk.signal(signalOf(1));
    unit = { ...atRest, invocation: "new" };
    disk.hold = true;
    desk.tell({ kind: "left", runId: runIdOf(1), unit, oomKills: 0, result: { kind: "none" }, logTail: "" });
    await settle();
    assert.equal(desk.state().outbox.size, 1);
    assert.equal(desk.nextReport(), undefined);
    disk.hold = false;
    disk.release?.();
    await desk.settled();
    assert.equal(desk.nextReport()?.state, "completed");
  });

  it("bounds who waits at its door", async () => {
    const disk = fakeDisk();
    disk.hold = true;
    const { desk } = deskOn(disk, idleLook);
    const all = Array.from({ length: 400 }, (_, n) => desk.signal(signalOf(n)));
    disk.hold = false;
    await settle();
    disk.release?.();
    const answers = (await Promise.all(all)).map(({ status }) => status);
    assert.ok(answers.filter((status) => status === 503).length > 100);
    assert.ok(answers.filter((status) => status === 202).length >= 256);
  });

  it("ends the process over what it did not foresee", async () => {
    const { desk, failures } = deskOn(fakeDisk(), () => {
      throw new Error("unforeseen");
    });
    void desk.turn();
    await settle();
    assert.equal(failures.length, 1);
  });
});

describe("the runner's work", () => {
  /** A desk and its work on a unit that does what it is told. */
  function scene(disk = fakeDisk()) {
    const clock = manualClock(nowMs);
    const seen: UnitSeen = atRest;
    const unit = { seen, starts: 0, refuse: false, queue: false, shows: 0, silent: false };
    const parts: { desk?: Desk } = {};
    const work: Work = createWork({
      clock,
      log,
      mode: "job",
      boot: "b",
      units: {
        async show() {
          unit.shows += 1;
          if (unit.silent) throw new Error("no answer");
          return unit.seen;
        },
        async start() {
          if (unit.queue) {
            unit.seen = { ...atRest, pending: true };
            return { kind: "refused", reason: "Connection reset by peer" };
          }
          if (unit.refuse) return { kind: "refused", reason: "Job failed." };
          unit.starts += 1;
          unit.seen = { ...atRest, invocation: `i${String(unit.starts)}`, active: "active", exit: null };
          return { kind: "started" };
        },
      },
      files: { prepare: async () => undefined, result: async () => ({ kind: "json", value: 5 }) },
      runLog: { tail: async () => "said", part: () => Promise.reject(new Error("none")) },
      resident: { send: async () => ({ kind: "unreachable", reason: "" }), answers: async () => true },
      memory: { look: async () => undefined, oomKills: () => 0 },
      tell: (event) => parts.desk?.tell(event),
      turn: () => void parts.desk?.turn(),
    });
    const desk = createDesk(
      {
        clock,
        log,
        journal: disk,
        accept: () => ({ agent: "ghost", secrets: [secret] }),
        rules: { mode: "job", idempotent: false },
        look: () => work.look(),
        act: (action) => work.act(action),
        turned: () => work.turned(desk.state()),
        failed: (error) => assert.fail(String(error)),
      },
      emptyState(),
    );
    parts.desk = desk;
    return { clock, unit, desk, work };
  }

  /** Moves the clock until something holds. */
  async function until(clock: ManualClock, holds: () => boolean, what: string): Promise<void> {
    for (let n = 0; n < 500; n += 1) {
      await settle();
      if (holds()) return;
      clock.advance(100);
    }
    assert.fail(`never: ${what}`);
  }

  it("runs one after the other, each started once", async () => {
    const { clock, unit, desk, work } = scene();
    await desk.signal(signalOf(1));
    await desk.signal(signalOf(2));
    await until(clock, () => unit.starts === 1, "a start");
    clock.advance(60_000);
    await settle();
    assert.equal(unit.starts, 1, "the second waits");
    unit.seen = { ...unit.seen, active: "inactive", exit: 0 };
    await until(clock, () => unit.starts === 2, "the second start");
    assert.equal(desk.nextReport()?.runId, runIdOf(1));
    assert.deepEqual([desk.nextReport()?.result, desk.nextReport()?.logTail], [5, "said"]);
    await work.stop();
  });

  it("waits for a unit that somebody started by hand, and for a systemd that does not answer", async () => {
    const { clock, unit, desk, work } = scene();
    unit.seen = { ...atRest, active: "active" };
    await desk.signal(signalOf(1));
    await until(clock, () => unit.shows > 3, "looks");
    assert.equal(unit.starts, 0);
    unit.silent = true;
    clock.advance(5_000);
    await settle();
    unit.silent = false;
    unit.seen = atRest;
    await until(clock, () => unit.starts === 1, "the start");
    await work.stop();
  });

  it("waits for a start in systemd's queue, whatever became of systemctl, and makes no second one", async () => {
    const { clock, unit, desk, work } = scene();
    unit.queue = true;
    await desk.signal(signalOf(1));
    await until(clock, () => unit.seen.pending, "a start");
    unit.queue = false;
    const { shows } = unit;
    await until(clock, () => unit.shows > shows + 20, "looks");
    assert.deepEqual([unit.starts, desk.nextReport()], [0, undefined]);
    unit.seen = { ...atRest, invocation: "new" };
    await until(clock, () => desk.nextReport() !== undefined, "a report");
    assert.deepEqual([unit.starts, desk.nextReport()?.state], [0, "completed"]);
    await work.stop();
  });

  it("reports a start that systemd refuses, and looks no more when nothing is left to do", async () => {
    const { clock, unit, desk, work } = scene();
    unit.refuse = true;
    await desk.signal(signalOf(1));
    await until(clock, () => desk.nextReport() !== undefined, "a report");
    assert.equal(desk.nextReport()?.state, "failed");
    assert.match(desk.nextReport()?.reason ?? "", /could not be started: Job failed/);
    assert.equal(desk.nextReport()?.attempts, 0);
    clock.advance(10_000);
    await settle();
    const { shows } = unit;
    clock.advance(600_000);
    await settle();
    assert.equal(unit.shows, shows);
    await work.stop();
  });
});
