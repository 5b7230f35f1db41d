import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { agentUnitName } from "../../components/shared/agent/agentPlace.ts";
import { renderKeeperUnit, type KeeperUnit } from "../../components/shared/agent/agentUnit.ts";
import { skip } from "../run/skip.ts";

const systemd = "systemd-analyze";
const base = { role: "keeper", network: ["10.20.10.1"] } as const;
const arbiter: KeeperUnit = { ...base, side: "arbiter", checkpoint: false };
const host: KeeperUnit = { ...base, side: "host", pinning: false, realtime: false };

/** Exposure that each unit may have at most: 2.0 is the aim, what is above has its reasons in the renderer. */
const limits: readonly { readonly title: string; readonly unit: KeeperUnit; readonly most: number }[] = [
  { title: "host side", unit: host, most: 2.0 },
  { title: "host side that pins", unit: { ...host, pinning: true }, most: 2.1 },
  { title: "host side with a real-time class", unit: { ...host, pinning: true, realtime: true }, most: 2.2 },
  {
    title: "host side with everything",
    unit: { ...host, pinning: true, realtime: true, serialDevice: "/dev/ttyUSB0" },
    most: 2.4,
  },
  { title: "arbiter", unit: arbiter, most: 2.6 },
  { title: "arbiter that checkpoints", unit: { ...arbiter, checkpoint: true }, most: 2.9 },
];

function lines(unit: KeeperUnit, key: string): string[] {
  return renderKeeperUnit(unit)
    .split("\n")
    .filter((line) => line.startsWith(`${key}=`))
    .map((line) => line.slice(key.length + 1));
}

describe("agent unit", () => {
  it("grants each side no more capabilities than its work needs", () => {
    assert.deepEqual(lines(host, "CapabilityBoundingSet"), [""]);
    assert.deepEqual(lines({ ...host, pinning: true }, "CapabilityBoundingSet"), ["CAP_SYS_NICE"]);
    assert.deepEqual(lines(arbiter, "CapabilityBoundingSet"), ["CAP_KILL CAP_SYS_ADMIN CAP_SYS_NICE"]);
    const full = lines({ ...arbiter, checkpoint: true }, "CapabilityBoundingSet");
    assert.deepEqual(full, ["CAP_KILL CAP_SYS_ADMIN CAP_SYS_NICE CAP_SYS_PTRACE"]);
  });

  it("shows each side its own devices and no others", () => {
    assert.deepEqual(lines(arbiter, "DeviceAllow"), ["char-nvidia* rw"]);
    assert.deepEqual(lines(host, "PrivateDevices"), ["yes"]);
    assert.deepEqual(lines(host, "DeviceAllow"), []);
    const serial = (serialDevice: string): string[] => lines({ ...host, serialDevice }, "DeviceAllow");
    assert.deepEqual(serial("/dev/ttyACM1"), ["char-ttyACM rw"]);
    assert.deepEqual(serial("/dev/serial/by-id/usb-esp32"), ["char-ttyUSB rw", "char-ttyACM rw"]);
    assert.deepEqual(serial("/dev/ttyS0"), ["/dev/ttyS0 rw"]);
  });

  it("lets only a pinning host side set scheduling, and only a real-time one set a real-time class", () => {
    const calls = (unit: KeeperUnit): string => lines(unit, "SystemCallFilter").join("\n");
    assert.doesNotMatch(calls(host), /sched_/);
    assert.match(calls({ ...host, pinning: true }), /sched_setaffinity/);
    assert.doesNotMatch(calls({ ...arbiter, checkpoint: true }), /sched_/);
    // The arbiter hurries a freeze by a nice value, and by that alone.
    assert.match(calls(arbiter), /\nsetpriority$/);
    assert.doesNotMatch(calls(host), /setpriority/);
    assert.deepEqual(lines({ ...arbiter, checkpoint: true }, "RestrictRealtime"), ["yes"]);
    assert.deepEqual(lines({ ...host, pinning: true }, "RestrictRealtime"), ["yes"]);
    assert.deepEqual(lines({ ...host, pinning: true, realtime: true }, "RestrictRealtime"), ["no"]);
  });

  it("reloads its configuration when systemd is asked to", () => {
    assert.deepEqual(lines(arbiter, "ExecReload"), ["/bin/kill -HUP $MAINPID"]);
  });

  it("speaks with loopback and the addresses named, nobody else", () => {
    assert.deepEqual(lines(arbiter, "IPAddressDeny"), ["any"]);
    assert.deepEqual(lines(arbiter, "IPAddressAllow"), ["localhost 10.20.10.1"]);
  });

  it("has a start limit that its restarts can reach, and does not restart into a refused configuration", () => {
    const number = (key: string): number => Number(lines(host, key)[0]);
    // Each round takes RestartSec and a start of well below 3 s.
    assert.ok(number("StartLimitBurst") * (number("RestartSec") + 3) < number("StartLimitIntervalSec"));
    assert.deepEqual(lines(host, "RestartPreventExitStatus"), ["78"]);
  });

  describe("judged by systemd", () => {
    let folder = "";
    const analyze = (...args: string[]) => spawnSync(systemd, args, { encoding: "utf8" });
    const written = (text: string): string => {
      const file = join(folder, agentUnitName("keeper"));
      writeFileSync(file, text);
      return file;
    };
    before(function () {
      if (analyze("--version").status !== 0) skip(this, "no systemd-analyze here");
      folder = mkdtempSync(join(tmpdir(), "agent-unit-"));
    });
    after(() => {
      if (folder !== "") rmSync(folder, { recursive: true });
    });

    for (const { title, unit, most } of limits) {
      it(`${title}: valid, exposure at most ${most.toFixed(1)}`, () => {
        const file = written(renderKeeperUnit(unit));
        const judged = analyze("security", "--offline=yes", `--threshold=${String(most * 10)}`, "--no-pager", file);
        assert.equal(judged.status, 0, judged.stdout.trim().split("\n").at(-1));
        // The program is not installed here: any that is will do.
        const text = renderKeeperUnit(unit).replaceAll("/opt/hive-agent/current/bin/hive-agent", process.execPath);
        const checked = analyze("verify", "--man=no", written(text));
        assert.deepEqual([checked.status, checked.stderr], [0, ""]);
      });
    }
  });
});
