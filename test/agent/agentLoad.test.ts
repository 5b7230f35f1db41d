// What a lab puts in the place of the machine's own time and load, and how the daemon says so.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { agentClock } from "../../runtime-agent/src/keeper/arbiter/agentClock.ts";
import { agentLoad } from "../../runtime-agent/src/keeper/arbiter/agentLoad.ts";
import { warnOfLab } from "../../runtime-agent/src/keeper/labSays.ts";
import { manualClock } from "../../runtime-agent/src/shared/clock.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";
import { skip } from "../run/skip.ts";

describe("the lab's time and load in the daemon", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hive-load-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("reads the machine's load where no lab says otherwise, as often as the kernel counts it", function () {
    if (process.platform !== "linux") skip(this, "only Linux has /proc/loadavg");
    let now = 0;
    const load1 = agentLoad({ HIVE_LAB_LOAD: "" }, () => now);
    const first = load1();
    assert.ok(first !== undefined && first >= 0);
    now = 4_999;
    assert.equal(load1(), first);
    now = 5_000;
    const text = (): number => Number.parseFloat(readFileSync("/proc/loadavg", "utf8"));
    assert.ok([text(), load1(), text()].every(Number.isFinite));
  });

  it("takes the first number of the lab's file, each time anew", () => {
    const file = join(folder, "loadavg");
    const load1 = agentLoad({ HIVE_LAB_LOAD: file });
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1000, noNaN: true }), (load) => {
        writeFileSync(file, `${load.toFixed(2)} 9.00 9.00 1/100 1000\n`);
        assert.equal(load1(), Number(load.toFixed(2)));
      }),
      { numRuns: 50 },
    );
  });

  it("knows no load without the lab's file or a number in it, and never mixes in the machine's own", () => {
    const file = join(folder, "loadavg");
    const load1 = agentLoad({ HIVE_LAB_LOAD: file });
    assert.equal(load1(), undefined);
    for (const text of ["", "high", "-1 0 0", "NaN", "Infinity 0 0"]) {
      writeFileSync(file, text);
      assert.equal(load1(), undefined, text);
    }
    assert.throws(() => agentLoad({ HIVE_LAB_LOAD: "loadavg" }), RangeError);
  });

  it("moves the calendar alone by the lab's file, on the clock that it is given", () => {
    const file = join(folder, "clock");
    const base = manualClock(5_000, 70);
    const clock = agentClock({ HIVE_LAB_CLOCK: file }, base);
    assert.deepEqual([clock.wallMs(), clock.monotonicMs()], [5_000, 70]);
    writeFileSync(file, "3600000\n");
    assert.deepEqual([clock.wallMs(), clock.monotonicMs()], [3_605_000, 70]);
    assert.equal(agentClock({}, base), base);
  });

  it("says in the log what is not the machine's own", () => {
    const lines: string[] = [];
    const log = createLog({ write: (line) => lines.push(line) });
    warnOfLab(log, undefined, { HIVE_LAB_CLOCK: "", PATH: "/bin" });
    assert.deepEqual(lines, []);
    warnOfLab(log, undefined, { HIVE_LAB_CLOCK: "/c", HIVE_LAB_LOAD: "/l" });
    assert.equal(lines.length, 2);
    assert.match(lines.join(""), /warning.*HIVE_LAB_CLOCK.*\/c[^]*HIVE_LAB_LOAD.*\/l/);
    warnOfLab(log, ["HIVE_LAB_CLOCK"], { HIVE_LAB_LOAD: "/l" });
    assert.equal(lines.length, 2);
  });
});
