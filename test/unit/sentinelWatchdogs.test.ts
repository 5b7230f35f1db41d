// Watchdogs whose configuration changes while they run.
import assert from "node:assert/strict";
import { setImmediate as turnOfTheLoop } from "node:timers/promises";
import fc from "fast-check";
import type { WatchdogConfig } from "../../components/shared/agent/sentinelWatchConfig.ts";
import type { ExtensionView } from "../../runtime-agent/src/sentinel/extension.ts";
import type { Finding } from "../../runtime-agent/src/sentinel/watch/core/watchdog.ts";
import { createWatchdogs, type Looker, type Watchdogs } from "../../runtime-agent/src/sentinel/watch/watchdogs.ts";

const tcp = (name: string, everySec = 60): WatchdogConfig => ({
  ...{ type: "tcp", name, address: { host: "192.0.2.1", port: 1 }, everySec },
  ...{ deadlineSec: 1, failures: 1, successes: 1 },
});
const heartbeat = (name: string, periodSec = 60): WatchdogConfig => ({ type: "heartbeat", name, periodSec });
const well: Looker = () => Promise.resolve({ ok: true, detail: "well" });
const refused: Looker = () => Promise.resolve({ ok: false, detail: "refused" });
const view = (ms: number): ExtensionView => ({ monotonicMs: ms, wallMs: 1e12 + ms, agents: [], news: [] });
const told = (watchdogs: Watchdogs, ms: number): string[] =>
  watchdogs.turn(view(ms), []).map(({ alert: { subject, text } }) => `${subject}: ${text}`);

/** Until all looks are over and their findings lie there for the next turn. */
async function found(watchdogs: Watchdogs): Promise<void> {
  await watchdogs.settled();
  await turnOfTheLoop();
}

describe("Sentinel, watchdogs: another configuration while they run", () => {
  it("judges nothing that was found of a watchdog that was taken away, or changed, since", async () => {
    for (const next of [[], [tcp("old", 30)]]) {
      const watchdogs = createWatchdogs({ configs: [tcp("old")], look: refused, reminderMs: 1000 });
      watchdogs.turn(view(0), []);
      await found(watchdogs);
      watchdogs.configure(next, well);
      for (const ms of [300, 1e6, 2e6]) {
        assert.deepEqual(told(watchdogs, ms), []);
        await found(watchdogs);
      }
      assert.deepEqual(watchdogs.kept(), {});
    }
  });

  it("judges what was found of a watchdog that stays as it is", async () => {
    const watchdogs = createWatchdogs({ configs: [tcp("site")], look: refused, reminderMs: 1e9 });
    watchdogs.turn(view(0), []);
    await found(watchdogs);
    watchdogs.configure([tcp("other"), tcp("site")], refused);
    assert.deepEqual(told(watchdogs, 300), ["watchdog site: down: refused"]);
  });

  it("awaits a name's first heartbeat anew when it was another watchdog in between", () => {
    for (const isJudged of [true, false]) {
      const watchdogs = createWatchdogs({ configs: [heartbeat("backup")], look: well, reminderMs: 1e9 });
      watchdogs.turn(view(0), []);
      assert.ok(watchdogs.beat("backup"));
      if (isJudged) watchdogs.turn(view(1000), []);
      watchdogs.configure([tcp("backup")], well);
      watchdogs.turn(view(2000), []);
      watchdogs.configure([heartbeat("backup")], well);
      assert.deepEqual(told(watchdogs, 3_600_000), []);
      assert.deepEqual(told(watchdogs, 3_659_000), []);
      assert.match(told(watchdogs, 3_661_000).join(), /^watchdog backup: down: nobody called for/);
    }
  });

  it("keeps the beats of a heartbeat of which something else changed", () => {
    const watchdogs = createWatchdogs({ configs: [heartbeat("backup")], look: well, reminderMs: 1e9 });
    watchdogs.turn(view(0), []);
    watchdogs.beat("backup");
    watchdogs.turn(view(1000), []);
    watchdogs.configure([heartbeat("backup", 120)], well);
    assert.deepEqual(told(watchdogs, 120_000), []);
    assert.equal(told(watchdogs, 122_000).length, 1);
  });

  it("property: speaks of those alone that there are, whatever is changed at whatever moment", async () => {
    const config = fc
      .tuple(fc.constantFrom("a", "b", "c"), fc.constantFrom(30, 60), fc.boolean())
      .map(([name, sec, looks]) => (looks ? tcp(name, sec) : heartbeat(name, sec)));
    const configs = fc.uniqueArray(config, { selector: ({ name }) => name });
    const step = fc.oneof(
      fc.record({ kind: fc.constant("configure" as const), configs }),
      fc.record({ kind: fc.constant("turn" as const), passMs: fc.integer({ min: 1, max: 100_000 }) }),
      fc.record({ kind: fc.constant("found" as const) }),
      fc.record({ kind: fc.constant("beat" as const), name: fc.constantFrom("a", "b", "c") }),
    );
    await fc.assert(
      fc.asyncProperty(
        configs,
        fc.array(step, { minLength: 10, maxLength: 40 }),
        fc.infiniteStream(fc.boolean()),
        async (...given) => {
          const [first, steps, finds] = given;
          const look = (): Promise<Finding> => Promise.resolve({ ok: finds.next().value === true, detail: "seen" });
          const watchdogs = createWatchdogs({ configs: first, look, reminderMs: 1000 });
          let [now, nowMs] = [first, 0];
          const turn = (passMs: number): void => {
            nowMs += passMs;
            const subjects = watchdogs.turn(view(nowMs), []).map(({ alert }) => alert.subject);
            const there = new Set(now.map(({ name }) => `watchdog ${name}`));
            for (const subject of [...subjects, ...Object.keys(watchdogs.kept())])
              assert.ok(there.has(subject), subject);
          };
          for (const one of steps) {
            if (one.kind === "configure") watchdogs.configure((now = one.configs), look);
            else if (one.kind === "found") await found(watchdogs);
            else if (one.kind === "beat") watchdogs.beat(one.name);
            else turn(one.passMs);
          }
          turn(1);
        },
      ),
      { numRuns: 300 },
    );
  });
});
