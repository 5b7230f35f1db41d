// The promises of the ESP32, on the C++ of its firmware and with the lines that the Keeper sends.
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  defaultWatchdogTimes,
  espStartSec,
  flashSec,
  longestFreezeSec,
} from "../../components/shared/agent/watchdogRules.ts";
import type { Goodbye } from "../../runtime-agent/src/keeper/host/watchdog/goodbye.ts";
import { heartbeatLine } from "../../runtime-agent/src/keeper/host/watchdog/heartbeat.ts";
import { compileFirmware, compiler, type Firmware } from "../support/esphome/firmware.ts";
import { skip } from "../run/skip.ts";

const times = defaultWatchdogTimes;
const key = Buffer.from("09afcb".repeat(11).slice(0, 64), "hex");
const startMs = 1_800_000_000_000;

interface Story {
  /** Seconds from power to the host's first heartbeat. */
  readonly bootsAfterSec: number;
  readonly aliveSec: number;
  /** Restarts of the ESP32 itself, seconds after power. */
  readonly restartsAtSec: readonly number[];
  /** Milliseconds on the ESP32's clock at power: near its wrap, too. */
  readonly originMs: number;
  readonly startSec: number;
  /** Said right after the last heartbeat. */
  readonly goodbye?: Goodbye | undefined;
  /** Of the restarts: whether power was lost. */
  readonly cold?: boolean;
  /** Seconds after power at which the host speaks again, and for how long. */
  readonly again?: { readonly atSec: number; readonly aliveSec: number };
}

interface Played {
  /** Seconds of the resets. */
  readonly fires: readonly number[];
  readonly lastBeatSec: number | undefined;
  readonly locked: boolean;
}

describe("ESP32 watchdog: its promise, on the C++ of its firmware", () => {
  let firmware: Firmware;
  before(async function () {
    this.timeout(60_000);
    const gxx = compiler();
    if (gxx === undefined) skip(this, "g++ is not installed");
    // In upper case, as a person may write it.
    firmware = await compileFirmware(gxx, times, key.toString("hex").toUpperCase());
  });
  after(async () => {
    await firmware?.remove();
  });

  /** Plays a story second by second. */
  function play(story: Story, untilSec: number): Played {
    const lines: string[] = [];
    const at: number[] = [];
    const say = (word: string, second: number, rest = ""): void => {
      lines.push(`${word} ${String((story.originMs + second * 1000) % 2 ** 32)}${rest}`);
      at.push(second);
    };
    let counter = startMs;
    const hear = (second: number, goodbye?: Goodbye): void => {
      counter = Math.max(counter + 1, startMs + second * 1000);
      say("hear 0", second, ` ${heartbeatLine(key, counter, goodbye)}`);
    };
    say("boot 1", 0);
    let downUntil = 0;
    let lastBeatSec: number | undefined;
    const ends = story.bootsAfterSec + story.aliveSec;
    const lives = [
      [story.bootsAfterSec, ends],
      ...(story.again === undefined ? [] : [[story.again.atSec, story.again.atSec + story.again.aliveSec]]),
    ];
    for (let second = 1; second <= untilSec; second += 1) {
      if (story.restartsAtSec.includes(second) && second >= downUntil) downUntil = second + story.startSec;
      if (second < downUntil) continue;
      if (second === downUntil) say(`boot ${String(Number(story.cold ?? false))}`, second);
      const beats = lives.some(
        ([from = 0, to = 0]) => second >= from && second < to && (second - from) % times.periodSec === 0,
      );
      if (beats) {
        hear(second);
        lastBeatSec = second;
      }
      // Three times, as the Keeper does; the ESP32 is up to hear one of them.
      if (story.goodbye !== undefined && second >= ends && second < ends + 3) hear(second, story.goodbye);
      say("tick 0", second);
    }
    const told = firmware.run(lines);
    return { fires: at.filter((_, index) => told[index] === "P"), lastBeatSec, locked: told.endsWith("L") };
  }

  const origins = fc.constantFrom(0, 2 ** 32 - 300_000, 2 ** 32 - 700_000);
  const story = (restarts: fc.Arbitrary<number[]>): fc.Arbitrary<Story> =>
    fc.record({
      bootsAfterSec: fc.integer({ min: 1, max: times.bootGraceSec - 1 }),
      aliveSec: fc.integer({ min: 1, max: 500 }),
      restartsAtSec: restarts,
      originMs: origins,
      startSec: fc.integer({ min: 1, max: espStartSec }),
    });

  it("property: frozen after its first heartbeat, the host is reset within 3 minutes, whenever the ESP32 restarts", function () {
    this.timeout(20_000);
    assert.ok(longestFreezeSec(times) < 180);
    fc.assert(
      fc.property(
        // Three restarts between two heartbeats of a living host are no case: the ESP32 itself is broken then.
        story(fc.array(fc.integer({ min: 1, max: 1300 }), { maxLength: 2 })),
        // Restarts right after the freeze are the hard ones.
        fc.array(fc.integer({ min: 1, max: 170 }), { maxLength: 4 }),
        (base, afterwards) => {
          const ends = base.bootsAfterSec + base.aliveSec;
          const early = base.restartsAtSec.filter((second) => second < ends);
          const late = afterwards.map((after) => ends + after).toSorted((a, b) => a - b);
          const { fires, lastBeatSec } = play({ ...base, restartsAtSec: [...early, ...late] }, ends + 200);
          if (lastBeatSec === undefined) return;
          const first = fires.find((second) => second > lastBeatSec);
          assert.ok(first !== undefined, "no reset");
          const tookSec = first - lastBeatSec + times.pulseMs / 1000;
          assert.ok(tookSec < 180, `${String(tookSec)} s`);
          const tooEarly = fires.filter((second) => second <= lastBeatSec);
          assert.deepEqual(tooEarly, [], "reset of a living host");
        },
      ),
      { numRuns: 80 },
    );
  });

  it("property: after a rest there is no reset, whatever the ESP32 goes through, until heartbeats came again and ended", function () {
    this.timeout(20_000);
    fc.assert(
      fc.property(
        story(fc.constant([])),
        fc.record({
          pauseSec: fc.integer({ min: 4, max: 5 * times.bootGraceSec }),
          restarts: fc.array(fc.integer({ min: 4, max: 5 * times.bootGraceSec }), { maxLength: 6 }),
          cold: fc.boolean(),
          aliveSec: fc.integer({ min: 1, max: 300 }),
        }),
        (base, { pauseSec, restarts, cold, aliveSec }) => {
          const ends = base.bootsAfterSec + base.aliveSec;
          const again = { atSec: ends + pauseSec, aliveSec };
          // While the ESP32 itself starts it hears nothing: the host's new life is one that it sees from its beginning.
          const restartsAtSec = restarts.map((after) => ends + after).filter((at) => at + base.startSec < again.atSec);
          const whole: Story = { ...base, goodbye: "rest", restartsAtSec, cold, again };
          const { fires, lastBeatSec } = play(whole, again.atSec + aliveSec + 180);
          assert.ok(lastBeatSec !== undefined);
          const [first] = fires;
          assert.ok(
            first !== undefined && first > lastBeatSec,
            `reset at ${String(first)} s of ${String(lastBeatSec)}`,
          );
          assert.ok(first - lastBeatSec + times.pulseMs / 1000 < 180);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("property: a reboot has the time to go down and to come up, and one that hangs is reset then", function () {
    this.timeout(20_000);
    const mostSec = times.shutdownSec + times.bootGraceSec;
    fc.assert(
      fc.property(
        story(fc.constant([])),
        fc.option(fc.integer({ min: 4, max: mostSec - 1 }), { nil: undefined }),
        fc.option(fc.integer({ min: 4, max: 60 }), { nil: undefined }),
        (base, upAfterSec, restartSec) => {
          const ends = base.bootsAfterSec + base.aliveSec;
          const restartsAtSec = restartSec === undefined ? [] : [ends + restartSec];
          const rebooting: Story = { ...base, goodbye: "reboot", restartsAtSec };
          // A restart begins the wait anew.
          const slackSec = flashSec + 3 + (restartSec === undefined ? 0 : restartSec + base.startSec);
          if (upAfterSec === undefined) {
            const [first] = play(rebooting, ends + mostSec + slackSec).fires;
            assert.ok(first !== undefined && first >= ends + mostSec, String(first));
          } else {
            const atSec = ends + Math.max(upAfterSec, (restartSec ?? 0) + base.startSec);
            const { fires } = play({ ...rebooting, again: { atSec, aliveSec: 100 } }, atSec + 100);
            assert.deepEqual(fires, []);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it("calls a pulse off when the host speaks between the decision and it, and does not count it", () => {
    const at = (second: number): string => String(second * 1000);
    const line = (second: number, goodbye?: Goodbye): string =>
      `hear 0 ${at(second)} ${heartbeatLine(key, startMs + second, goodbye)}`;
    const decided = times.timeoutSec + 10;
    for (const word of [undefined, "rest", "reboot"] as const) {
      const lines = ["boot 1 0"];
      // More often than there are resets.
      for (let round = 0; round < 2 * times.maxResets; round += 1) {
        const from = round * 200;
        lines.push(line(from + 10), `tick 0 ${at(from + decided)}`, line(from + decided + 1, word));
        for (let after = 2; after < 80; after += 1) lines.push(`tick 0 ${at(from + decided + after)}`);
      }
      assert.doesNotMatch(firmware.run(lines), /P|L/, word);
    }
  });

  it("property: only the Keeper's own lines count, each once and for what it says, over restarts too", () => {
    const words = fc.constantFrom<Goodbye | undefined>(undefined, "rest", "reboot");
    const other = Buffer.alloc(32, 7);
    const change = (text: string, at: number, to: number): string => {
      const place = at % text.length;
      const code = (text.charCodeAt(place) - 32 + to) % 95;
      return `${text.slice(0, place)}${String.fromCharCode(32 + code)}${text.slice(place + 1)}`;
    };
    const told = (word: Goodbye | undefined): string => (word === undefined ? "A" : word === "rest" ? "R" : "0");
    fc.assert(
      fc.property(
        words,
        words,
        words,
        fc.integer({ min: 2, max: 200_000 }),
        fc.nat(),
        fc.integer({ min: 1, max: 94 }),
        (before, word, forged, laterBy, place, by) => {
          const now = startMs + laterBy;
          const old = heartbeatLine(key, startMs, before);
          const newest = heartbeatLine(key, now, word);
          const mac = newest.slice(-64);
          const bad = [
            "",
            old,
            newest,
            heartbeatLine(other, now + 1, forged),
            change(newest, place, by),
            change(heartbeatLine(key, now + 1, forged), place, by),
            // Another word's MAC, and a later counter's.
            ...[undefined, "rest", "reboot"].flatMap((each) => {
              const text = ["hive1", ...(each === undefined ? [] : [each]), String(now + 1)].join(" ");
              return [`${text} ${mac}`, `${text} ${mac.toUpperCase()}`];
            }),
            newest.replace("hive1 ", "hive1 rest "),
            newest.replace(/(?:rest|reboot) /, ""),
            `hive1 rest  ${mac}`,
            `hive1 reboot ${"9".repeat(20)} ${mac}`,
          ];
          const first = `hear 0 500 ${heartbeatLine(key, startMs - 1)}`;
          const lines = ["boot 1 0", first, `hear 0 1000 ${old}`, `hear 0 2000 ${newest}`];
          const state = told(word);
          const seen = firmware.run([...lines, ...bad.map((line) => `hear 0 3000 ${line}`)]);
          assert.equal(seen, `0A${told(before)}${state}${state.repeat(bad.length)}`, newest);
          // A goodbye that was heard, and the heartbeat after it, stay heard when the ESP32 restarts.
          if (before === undefined && word === undefined) return;
          // Nor is one that was caught on its way.
          const caught = heartbeatLine(key, startMs + 1, before);
          const again = [old, caught, newest].map((line) => `hear 0 5000 ${line}`);
          assert.equal(firmware.run([...lines, "boot 0 4000", ...again]).slice(-4), state.repeat(4));
        },
      ),
      { numRuns: 150 },
    );
  });

  it("property: no reset within the boot grace, and no more resets than the limit", () => {
    fc.assert(
      fc.property(fc.constantFrom(0, 2 ** 32 - 500_000), (originMs) => {
        const dead: Story = { bootsAfterSec: 1e9, aliveSec: 0, restartsAtSec: [], originMs, startSec: 2 };
        const { fires, locked } = play(dead, 6 * times.bootGraceSec);
        assert.equal(fires.length, times.maxResets);
        assert.equal(locked, true);
        [0, ...fires].reduce((before, second) => {
          assert.ok(second - before >= times.bootGraceSec, `${String(second - before)} s`);
          return second;
        });
      }),
    );
  });

  it("takes its resets back only after a healthy hour", () => {
    const steady: Story = { bootsAfterSec: 100, aliveSec: 4000, restartsAtSec: [], originMs: 0, startSec: 2 };
    const { fires } = play(steady, 4100 + 4 * times.bootGraceSec + 200);
    assert.equal(fires.length, times.maxResets);
  });
});
