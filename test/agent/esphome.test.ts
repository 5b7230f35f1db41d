import assert from "node:assert/strict";
import { spawnSync, type SpawnSyncReturns } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import fc from "fast-check";
import { esphomeTool } from "../support/esphome/tool.ts";
import { renderWatchdog, type WatchdogSettings } from "../../components/shared/agent/esphome.ts";
import {
  checkWatchdogTimes,
  defaultWatchdogTimes,
  espStartSec,
  flashSec,
  longestFreezeSec,
  watchdogCode,
  watchdogVariables,
  type WatchdogTimes,
} from "../../components/shared/agent/watchdogRules.ts";
import { skip } from "../run/skip.ts";

const serial: WatchdogSettings = { name: "hive-watchdog", resetPin: 25, heartbeat: { type: "serial" } };
const udp: WatchdogSettings = { ...serial, heartbeat: { type: "udp", port: 18_511 } };

function onPath(program: string): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.map((folder) => join(folder, program)).find((file) => existsSync(file));
}

function textOf(settings: WatchdogSettings): string {
  const rendered = renderWatchdog(settings);
  assert.ok(rendered.ok, JSON.stringify(rendered));
  return rendered.value;
}

describe("ESP32 watchdog: its firmware", () => {
  it("refuses what cannot work, all faults at once", () => {
    const rendered = renderWatchdog({
      name: "Hive Watchdog",
      resetPin: 6,
      heartbeat: { type: "udp", port: 80 },
      times: { periodSec: 0, maxResets: 0 },
    });
    assert.ok(!rendered.ok);
    assert.deepEqual(rendered.faults.map(({ property }) => property).sort(), [
      "watchdog.heartbeat.port",
      "watchdog.name",
      "watchdog.resetPin",
      "watchdog.times.maxResets",
      "watchdog.times.periodSec",
    ]);
    const slow = checkWatchdogTimes("t", { ...defaultWatchdogTimes, timeoutSec: 150 });
    assert.match(slow[0]?.limit ?? "", /under 180 s/);
    assert.deepEqual(checkWatchdogTimes("t", defaultWatchdogTimes), []);
  });

  it("names secrets and holds none; the same settings give the same text", () => {
    const text = textOf(udp);
    assert.equal(text, textOf(udp));
    for (const name of ["wifi_ssid", "wifi_password", "watchdog_api_key", "watchdog_ota_password", "watchdog_key"])
      assert.ok(text.includes(`!secret ${name}`), name);
    assert.doesNotMatch(text, /(?:password|key|ssid): (?!!secret)\S/);
  });

  it("passes ESPHome's own validation", async function () {
    this.timeout(600_000);
    const esphome = await esphomeTool((line) => process.stderr.write(`${line}\n`));
    if ("missing" in esphome) skip(this, esphome.missing);
    const folder = await mkdtemp(join(tmpdir(), "hive-esphome-"));
    try {
      const secrets = [
        "wifi_ssid: lab",
        'wifi_password: "not-a-secret"',
        `watchdog_api_key: "${Buffer.alloc(32, 1).toString("base64")}"`,
        "watchdog_ota_password: not-a-secret",
        `watchdog_key: "${"ab".repeat(32)}"`,
      ];
      await writeFile(join(folder, "secrets.yaml"), secrets.join("\n"));
      for (const settings of [serial, udp]) {
        const file = join(folder, `${settings.heartbeat.type}.yaml`);
        await writeFile(file, textOf(settings));
        const ended: SpawnSyncReturns<string> = spawnSync(esphome.file, [...esphome.args, "config", file], {
          env: { ...process.env, ...esphome.env },
          encoding: "utf8",
          timeout: 60_000,
        });
        assert.equal(ended.status, 0, `${ended.stdout}${ended.stderr}`);
        assert.match(ended.stdout + ended.stderr, /Configuration is valid/);
        assert.ok(ended.stdout.includes("ab".repeat(32)), "the key reaches the code");
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

/** The rules' own C++ around a line protocol: `WORD COLD NOW`; a tick answers P when it pulls the reset line. */
function program(times: WatchdogTimes): string {
  const code = watchdogCode(times);
  return `#include <cstdint>
#include <cstdio>
#include <cstring>
#define id(name) name
${watchdogVariables.map(({ name, type, initial }) => `static ${type} ${name} = ${initial};`).join("\n")}
int main() {
  char word[16]; unsigned long long at; int flag; bool pending = false; uint32_t decided = 0;
  while (scanf("%15s %d %llu", word, &flag, &at) == 3) {
    const uint32_t now = (uint32_t) at; bool cold = flag != 0; bool fire = false; (void) cold;
    if (!strcmp(word, "boot")) { pending = false; ${code.boot} }
    else if (!strcmp(word, "beat")) { ${code.beat} }
    else { ${code.tick} }
    if (fire) { pending = true; decided = now; }
    bool pull = pending && now - decided >= ${String(flashSec * 1000)}u;
    if (pull) { pending = false; ${code.press} }
    putchar(pull ? 'P' : locked ? 'L' : '0');
  }
}
`;
}

interface Story {
  /** Seconds from power to the host's first heartbeat. */
  readonly bootsAfterSec: number;
  readonly aliveSec: number;
  /** Restarts of the ESP32 itself, seconds after power. */
  readonly restartsAtSec: readonly number[];
  /** Milliseconds on the ESP32's clock at power: near its wrap, too. */
  readonly originMs: number;
  readonly startSec: number;
}

describe("ESP32 watchdog: its key", () => {
  it("is the same in upper and lower case, as the Keeper reads it", async function () {
    this.timeout(60_000);
    const compiler = onPath("g++");
    if (compiler === undefined) skip(this, "g++ is not installed");
    const lines = textOf(serial).split("\n");
    const first = lines.findIndex((line) => line.includes("std::string key ="));
    const last = lines.findIndex((line) => line.includes("uint8_t mac[32]"));
    assert.ok(first > 0 && last > first);
    const code = lines.slice(first, last).join("\n").replace("${watchdog_key}", "09AFaf");
    const folder = await mkdtemp(join(tmpdir(), "hive-esp-"));
    try {
      const file = join(folder, "key.cpp");
      await writeFile(file, `#include <cstdio>\n#include <string>\nint main() {\n${code}\nputs(key.c_str());\n}\n`);
      const options = { encoding: "utf8" } as const;
      const { status, stderr } = spawnSync(compiler, ["-Wall", "-Werror", "-o", join(folder, "key"), file], options);
      assert.equal(status, 0, stderr);
      assert.equal(spawnSync(join(folder, "key"), options).stdout, "09afaf\n");
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("ESP32 watchdog: its promise, on the C++ of its firmware", () => {
  let folder: string;
  let binary: string;
  const times = defaultWatchdogTimes;
  before(async function () {
    this.timeout(60_000);
    const compiler = onPath("g++");
    if (compiler === undefined) skip(this, "g++ is not installed");
    folder = await mkdtemp(join(tmpdir(), "hive-esp-"));
    binary = join(folder, "rules");
    await writeFile(join(folder, "rules.cpp"), program(times));
    const { status, stderr } = spawnSync(
      compiler,
      ["-Wall", "-Werror", "-O1", "-o", binary, join(folder, "rules.cpp")],
      {
        encoding: "utf8",
      },
    );
    assert.equal(status, 0, stderr);
  });
  after(async () => {
    if (folder !== undefined) await rm(folder, { recursive: true });
  });

  /** Plays a story; gives the second of each reset and of the last heartbeat. */
  function play(story: Story, untilSec: number): { fires: number[]; lastBeatSec: number | undefined; locked: boolean } {
    const lines: string[] = [];
    const at: number[] = [];
    const say = (word: string, flag: number, second: number): void => {
      lines.push(`${word} ${String(flag)} ${String((story.originMs + second * 1000) % 2 ** 32)}`);
      at.push(second);
    };
    say("boot", 1, 0);
    let downUntil = 0;
    let lastBeatSec: number | undefined;
    const ends = story.bootsAfterSec + story.aliveSec;
    for (let second = 1; second <= untilSec; second += 1) {
      if (story.restartsAtSec.includes(second) && second >= downUntil) downUntil = second + story.startSec;
      if (second < downUntil) continue;
      if (second === downUntil) say("boot", 0, second);
      const beats =
        second >= story.bootsAfterSec && second < ends && (second - story.bootsAfterSec) % times.periodSec === 0;
      if (beats) {
        say("beat", 0, second);
        lastBeatSec = second;
      }
      say("tick", 0, second);
    }
    const { stdout } = spawnSync(binary, { input: lines.join("\n"), encoding: "utf8" });
    assert.equal(stdout.length, lines.length);
    const fires = at.filter((_, index) => stdout[index] === "P");
    return { fires, lastBeatSec, locked: stdout.endsWith("L") };
  }

  const story = (restarts: fc.Arbitrary<number[]>): fc.Arbitrary<Story> =>
    fc.record({
      bootsAfterSec: fc.integer({ min: 1, max: times.bootGraceSec - 1 }),
      aliveSec: fc.integer({ min: 1, max: 500 }),
      restartsAtSec: restarts,
      originMs: fc.constantFrom(0, 2 ** 32 - 300_000, 2 ** 32 - 700_000),
      startSec: fc.integer({ min: 1, max: espStartSec }),
    });

  it("property: frozen after its first heartbeat, the host is reset within 3 minutes, whenever the ESP32 restarts", () => {
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
