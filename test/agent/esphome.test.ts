import assert from "node:assert/strict";
import { spawnSync, type SpawnSyncReturns } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { esphomeTool } from "../support/esphome/tool.ts";
import { renderWatchdog, type WatchdogSettings } from "../../components/shared/agent/esphome.ts";
import {
  checkWatchdogTimes,
  defaultWatchdogTimes,
  longestFreezeSec,
  mostPeriodSec,
  watchdogTimes,
} from "../../components/shared/agent/watchdogRules.ts";
import { skip } from "../run/skip.ts";

const serial: WatchdogSettings = { name: "hive-watchdog", resetPin: 25, heartbeat: { type: "serial" } };
const udp: WatchdogSettings = { ...serial, heartbeat: { type: "udp", port: 18_511 } };

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

  it("waits longer where heartbeats come seldom, as long as the promise can be kept, and then says so", () => {
    assert.deepEqual(watchdogTimes({ periodSec: 5, timeoutSec: undefined }), defaultWatchdogTimes);
    for (let periodSec = 1; periodSec <= 30; periodSec += 1) {
      const times = watchdogTimes({ periodSec });
      const faults = checkWatchdogTimes("t", times);
      assert.equal(
        faults.length === 0,
        periodSec <= mostPeriodSec,
        `${String(periodSec)} s: ${JSON.stringify(faults)}`,
      );
      assert.ok(longestFreezeSec(times) < 180);
    }
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
