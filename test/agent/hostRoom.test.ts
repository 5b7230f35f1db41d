import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as soon, setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { createRoomSensor, parseRoom } from "../../runtime-agent/src/keeper/host/roomSensor.ts";
import { manualClock } from "../../runtime-agent/src/shared/clock.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";

describe("Keeper, host side: heat of the room", () => {
  it("property: reads millidegrees as the kernel writes them, and nothing else", () => {
    fc.assert(
      fc.property(fc.integer({ min: -300_000, max: 300_000 }), (milli) => {
        const right = milli >= -40_000 && milli <= 80_000 ? milli / 1000 : undefined;
        assert.equal(parseRoom(`${String(milli)}\n`), right);
        assert.equal(parseRoom(String(milli)), right);
      }),
    );
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[-+0-9.eEx \n]{0,12}$/)), (text) => {
        const celsius = parseRoom(text);
        if (celsius === undefined) return;
        assert.match(text, /^-?\d+\n?$/);
        assert.equal(celsius, Number.parseInt(text, 10) / 1000);
      }),
      { numRuns: 1000 },
    );
    // An empty read, a DS18B20 that has not measured, a broken line, a file in degrees of somebody else's.
    for (const text of ["", "\n", "85000\n", "-127000\n", "24.5\n", "t=24500\n", "24500 24600\n"])
      assert.equal(parseRoom(text), undefined, JSON.stringify(text));
  });

  const made = (file: () => string | undefined, read?: (file: string) => Promise<string>) => {
    const clock = manualClock();
    const lines: string[] = [];
    const log = createLog({ write: (line) => void lines.push(line) });
    return { clock, lines, sensor: createRoomSensor({ file, clock, log, ...(read === undefined ? {} : { read }) }) };
  };

  it("reads a file every ten seconds; a fault gives no temperature and one line in the log", async () => {
    const folder = await mkdtemp(join(tmpdir(), "hive-room-"));
    try {
      const file = join(folder, "temperature");
      let named: string | undefined = file;
      const { clock, lines, sensor } = made(() => named);
      const turns = async (count: number): Promise<void> => {
        for (let turn = 0; turn < count; turn += 1) {
          sensor.look();
          clock.advance(1000);
          await sleep(2);
        }
        await sleep(20);
      };
      await turns(35);
      assert.deepEqual([sensor.celsius(), lines.length], [undefined, 1]);
      assert.match(sensor.fault() ?? "", /ENOENT/);
      await writeFile(file, "23187\n");
      await turns(11);
      assert.deepEqual([sensor.celsius(), sensor.fault()], [23.187, undefined]);
      await writeFile(file, "not a number\n");
      await turns(25);
      assert.deepEqual([sensor.celsius(), lines.length], [undefined, 2]);
      await writeFile(file, "31000\n");
      // Another file is looked at without waiting, and what the first one said is forgotten.
      named = join(folder, "other");
      await writeFile(named, "-5000\n");
      await turns(1);
      assert.equal(sensor.celsius(), -5);
      named = undefined;
      await turns(1);
      assert.deepEqual([sensor.celsius(), sensor.fault(), lines.length], [undefined, undefined, 2]);
      // A pipe without a writer is not waited for.
      named = join(folder, "pipe");
      execFileSync("mkfifo", [named]);
      await turns(2);
      assert.equal(sensor.celsius(), undefined);
      assert.ok(sensor.fault() !== undefined && lines.length === 3);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("never waits, reads once at a time, and takes no answer that comes too late", async () => {
    const waiting: ((text: string) => void)[] = [];
    const { clock, lines, sensor } = made(
      () => "/sys/bus/w1/devices/28-0/temperature",
      () => new Promise((resolve) => waiting.push(resolve)),
    );
    for (let second = 0; second < 60; second += 1) {
      sensor.look();
      clock.advance(1000);
    }
    assert.deepEqual([waiting.length, lines.length, sensor.celsius()], [1, 1, undefined]);
    assert.match(sensor.fault() ?? "", /within 5 s/);
    waiting[0]?.("20000\n");
    await soon();
    assert.equal(sensor.celsius(), undefined);
    sensor.look();
    assert.equal(waiting.length, 2);
    clock.advance(750);
    waiting[1]?.("20000\n");
    await soon();
    assert.deepEqual([sensor.celsius(), sensor.fault(), lines.length], [20, undefined, 1]);
  });
});
