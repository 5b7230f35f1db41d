import assert from "node:assert/strict";
import fc from "fast-check";
import {
  advance,
  due,
  emptyOutbox,
  mostWaiting,
  post,
  tried,
  type Alert,
  type Outbox,
} from "../../runtime-agent/src/sentinel/watch/core/outbox.ts";
import { judge, remind, unjudged, type Change } from "../../runtime-agent/src/sentinel/watch/core/watchdog.ts";
import { bodyOf, titleOf } from "../../runtime-agent/src/sentinel/watch/alerts/text.ts";

const minute = 60_000;
const hour = 60 * minute;

describe("Sentinel, watchdogs: hysteresis", () => {
  const rule = fc.record({ failures: fc.integer({ min: 1, max: 5 }), successes: fc.integer({ min: 1, max: 5 }) });

  it("property: changes take turns, and each needs so many findings in a row; a first `up` is no news", () => {
    fc.assert(
      fc.property(rule, fc.array(fc.boolean(), { maxLength: 200 }), (limits, looks) => {
        let now = unjudged(0);
        let told: Change = "up";
        looks.forEach((ok, index) => {
          const before = now;
          const step = judge(before, { ok, detail: String(index) }, limits, index);
          now = step.judgement;
          if (step.change === undefined) return;
          assert.notEqual(step.change, told);
          told = step.change;
          const needed = ok ? limits.successes : limits.failures;
          assert.ok(looks.slice(index - needed + 1, index + 1).every((one) => one === ok));
          assert.equal(step.change, ok ? "up" : "down");
          assert.equal(now.sinceMs, index);
        });
        // What it says is not what the last findings, enough of them, contradict.
        const last = (count: number, ok: boolean): boolean =>
          looks.length >= count && looks.slice(-count).every((one) => one === ok);
        if (last(limits.successes, true)) assert.equal(now.standing, "up");
        if (last(limits.failures, false)) assert.equal(now.standing, "down");
      }),
    );
  });

  it("reminds while it is down, also when the clock is set back", () => {
    const down = judge(unjudged(0), { ok: false, detail: "x" }, { failures: 1, successes: 1 }, hour).judgement;
    assert.equal(remind(down, hour, hour + minute).change, undefined);
    const again = remind(down, hour, 2 * hour);
    assert.equal(again.change, "reminder");
    assert.equal(remind(again.judgement, hour, 2 * hour + minute).change, undefined);
    assert.equal(remind(down, 0, 100 * hour).change, undefined);
    const back = remind(down, hour, 0).judgement;
    assert.equal(remind(back, hour, hour).change, "reminder");
  });
});

describe("Sentinel, alerts on their way", () => {
  const policy = { channels: ["ops", "phone"], mostPerHour: 3, giveUpMs: 24 * hour };
  const alert = (text: string, atMs = 0): Alert => ({ atMs, subject: "s", kind: "problem", text });

  const step = fc.record({
    posts: fc.integer({ min: 0, max: 3 }),
    passMs: fc.constantFrom(1000, minute, 20 * minute, 2 * hour, -30 * minute),
    works: fc.boolean(),
  });

  it("property: nothing is lost unsaid, nothing goes twice under another id, no hour has too many", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let outbox: Outbox = emptyOutbox;
        let wallMs = 100 * hour;
        let latestMs = wallMs;
        let posted = 0;
        const delivered = new Map<string, readonly Alert[]>();
        const tries = new Map<string, string>();
        const begun: number[] = [];
        let lost = 0;
        for (const { posts, passMs, works } of steps) {
          for (let n = 0; n < posts; n += 1)
            outbox = post(outbox, [alert(String((posted += 1)), wallMs)], ["ops"], policy);
          wallMs += passMs;
          latestMs = Math.max(latestMs, wallMs);
          outbox = advance(outbox, wallMs, policy).outbox;
          for (const { channel, message } of due(outbox, wallMs)) {
            assert.equal(channel, "ops");
            const content = JSON.stringify([message.alerts, message.lost, message.firstMs]);
            assert.equal(tries.get(message.id) ?? content, content, "the same id is the same message");
            if (!tries.has(message.id)) begun.push(wallMs);
            tries.set(message.id, content);
            if (works) {
              assert.ok(!delivered.has(message.id));
              delivered.set(message.id, message.alerts);
              lost += message.lost;
            }
            outbox = tried(outbox, channel, message.id, works, wallMs, () => 0.5);
          }
        }
        const box = outbox.channels["ops"];
        const open = (box?.waiting.length ?? 0) + (box?.message?.alerts.length ?? 0);
        const uncounted = (box?.lost ?? 0) + (box?.message?.lost ?? 0);
        const gone = [...delivered.values()].flat();
        assert.equal(gone.length + open + uncounted + lost, posted);
        assert.equal(new Set(gone.map(({ text }) => text)).size, gone.length);
        assert.ok((box?.waiting.length ?? 0) <= mostWaiting);
        if (steps.every(({ passMs }) => passMs > 0))
          for (const at of begun) assert.ok(begun.filter((one) => one > at - hour && one <= at).length <= 3);
      }),
    );
  });

  it("puts what waits into one message, and waits longer after each failure", () => {
    let outbox = post(emptyOutbox, [alert("a")], ["ops", "unknown"], policy);
    outbox = advance(outbox, 0, policy).outbox;
    outbox = post(outbox, [alert("b"), alert("c")], ["ops"], policy);
    const [first] = due(outbox, 0);
    assert.deepEqual(
      first?.message.alerts.map(({ text }) => text),
      ["a"],
    );
    const waits: number[] = [];
    let wallMs = 0;
    for (let n = 0; n < 12; n += 1) {
      assert.equal(
        tried(outbox, "ops", "another", true, wallMs, () => 1),
        outbox,
      );
      outbox = tried(outbox, "ops", first?.message.id ?? "", false, wallMs, () => 1);
      const nextMs = outbox.channels["ops"]?.message?.nextMs ?? 0;
      waits.push(nextMs - wallMs);
      assert.deepEqual(due(outbox, nextMs - 1), []);
      wallMs = nextMs;
    }
    assert.deepEqual(waits.slice(0, 3), [5000, 10_000, 20_000]);
    assert.equal(waits.at(-1), 15 * minute);
    outbox = tried(outbox, "ops", first?.message.id ?? "", true, wallMs, () => 1);
    outbox = advance(outbox, wallMs, policy).outbox;
    assert.deepEqual(
      due(outbox, wallMs)[0]?.message.alerts.map(({ text }) => text),
      ["b", "c"],
    );
  });

  it("sends no more than it may in any hour, and leaves nothing out", () => {
    let outbox = emptyOutbox;
    const sent: { readonly atMs: number; readonly alerts: number }[] = [];
    for (let wallMs = 0; wallMs < 4 * hour; wallMs += minute) {
      outbox = advance(post(outbox, [alert("x", wallMs)], ["ops"], policy), wallMs, policy).outbox;
      for (const { channel, message } of due(outbox, wallMs)) {
        sent.push({ atMs: wallMs, alerts: message.alerts.length });
        outbox = tried(outbox, channel, message.id, true, wallMs, () => 1);
      }
    }
    assert.equal(sent.length, 12);
    assert.equal(sent[3]?.alerts, 58);
  });

  it("gives up what nobody takes for a day, and says so in the next message", () => {
    let outbox = advance(post(emptyOutbox, [alert("a")], ["ops"], policy), 0, policy).outbox;
    outbox = tried(outbox, "ops", due(outbox, 0)[0]?.message.id ?? "", false, 0, () => 1);
    const after = advance(outbox, 25 * hour, policy);
    assert.equal(after.givenUp.length, 1);
    const next = advance(post(after.outbox, [alert("b")], ["ops"], policy), 25 * hour, policy).outbox;
    const [message] = due(next, 25 * hour).map((one) => one.message);
    assert.equal(message?.lost, 1);
    assert.ok(message !== undefined);
    assert.equal(bodyOf(message), "1 earlier alerts are left out.\ns: b");
    assert.equal(titleOf({ ...message, lost: 0 }), "Problem: s");
  });
});
