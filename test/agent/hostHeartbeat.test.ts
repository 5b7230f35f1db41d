import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createSocket } from "node:dgram";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFeeder, type Feeder } from "../../runtime-agent/src/keeper/host/watchdog/feeder.ts";
import { whichGoodbye, type Goodbye } from "../../runtime-agent/src/keeper/host/watchdog/goodbye.ts";
import { createHeartbeat } from "../../runtime-agent/src/keeper/host/watchdog/heartbeat.ts";
import { manualClock } from "../../runtime-agent/src/shared/clock.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";

const key = Buffer.from("ab".repeat(32), "hex");
const counterOf = (line: string): number => {
  const [word, counter = "", mac] = line.trim().split(" ");
  const right = createHmac("sha256", "ab".repeat(32)).update(`hive1 ${counter}`).digest("hex");
  assert.deepEqual([word, mac], ["hive1", right]);
  return Number(counter);
};

describe("Keeper, host side: heartbeat to the ESP32", () => {
  let folder: string;
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), "hive-beat-"))));
  afterEach(() => rm(folder, { recursive: true }));

  it("sends signed lines by UDP whose counter rises across restarts and clock jumps", async () => {
    const esp = createSocket("udp4");
    const lines: string[] = [];
    esp.on("message", (message) => lines.push(message.toString()));
    await new Promise<void>((resolve) => esp.bind(0, "127.0.0.1", resolve));
    const clock = manualClock(1_800_000_000_000);
    const target = { type: "udp", host: "127.0.0.1", port: esp.address().port } as const;
    const options = { target, key, clock, counterFile: join(folder, "counter") };
    for (const jumpMs of [0, 3_600_000, -7_200_000, 1000]) {
      clock.jumpWall(jumpMs);
      // No close: a killed agent does not close either.
      const heartbeat = createHeartbeat(options);
      for (let n = 0; n < 3; n += 1) await heartbeat.send();
    }
    for (let n = 0; n < 400 && lines.length < 12; n += 1) await new Promise((resolve) => setTimeout(resolve, 5));
    const counters = lines.map(counterOf);
    assert.equal(counters.length, 12);
    assert.ok(
      counters.every((counter, index) => index === 0 || counter > (counters[index - 1] ?? 0)),
      counters.join(),
    );
    esp.close();
  });

  it("writes them to a serial port set raw first, and opens it anew after an error", async () => {
    const device = join(folder, "tty");
    const calls: string[] = [];
    const heartbeat = createHeartbeat({
      target: { type: "serial", device, baud: 115_200 },
      key,
      clock: manualClock(1000),
      counterFile: join(folder, "counter"),
      execute: (program, argv) => Promise.resolve(calls.push(`${program} ${argv.join(" ")}`)),
    });
    await assert.rejects(heartbeat.send(), /ENOENT/);
    await writeFile(device, "");
    await heartbeat.send();
    await heartbeat.send();
    const lines = (await readFile(device, "utf8")).split("\n").filter((line) => line !== "");
    assert.equal(lines.length, 2);
    assert.ok(lines.map(counterOf).every((counter) => counter > 1000));
    assert.equal(calls.length, 2);
    assert.match(calls[1] ?? "", /^stty -F \S+ 115200 raw -echo -hupcl/);
    await heartbeat.close();
  });
});

describe("Keeper, host side: goodbye to the ESP32", () => {
  let folder: string;
  const clock = manualClock(1_800_000_000_000);
  const esp = createSocket("udp4");
  let heard: string[];
  let logged: string;
  before(async () => {
    esp.on("message", (message) => heard.push(message.toString()));
    await new Promise<void>((resolve) => esp.bind(0, "127.0.0.1", resolve));
  });
  after(() => void esp.close());
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "hive-bye-"));
    await writeFile(join(folder, "key"), "ab".repeat(31) + "cd", { mode: 0o600 });
    heard = [];
    logged = "";
  });
  afterEach(() => rm(folder, { recursive: true }));

  const feeder = (serial: boolean, goodbye: Goodbye): Promise<Feeder> => {
    const common = { periodSec: 1, keyFile: join(folder, "key") };
    const address = { host: "127.0.0.1", port: esp.address().port };
    return createFeeder({
      watchdog: serial
        ? { ...common, type: "serial", device: join(folder, "none"), baud: 115_200 }
        : { ...common, type: "udp", address },
      stateFolder: folder,
      loopMs: 1000,
      clock,
      log: createLog({ write: (line) => (logged += line) }),
      goodbye: () => Promise.resolve(goodbye),
    });
  };

  it("says it a few times after the heartbeat under way, each with a higher counter, and feeds no more", async () => {
    for (const word of ["rest", "reboot"] as const) {
      heard = [];
      const feeding = await feeder(false, word);
      clock.advance(5000);
      feeding.feed();
      await feeding.leave();
      clock.advance(60_000);
      feeding.feed();
      for (let n = 0; n < 400 && heard.length < 4; n += 1) await new Promise((resolve) => setTimeout(resolve, 5));
      await feeding.close();
      const forms = heard.map((line) => /^hive1 (?:([a-z]+) )?(\d+) [0-9a-f]{64}$/.exec(line)?.slice(1) ?? []);
      assert.deepEqual(
        forms.map(([said]) => said),
        [undefined, word, word, word],
      );
      const counters = forms.map(([, counter]) => Number(counter));
      assert.deepEqual(
        counters.toSorted((a, b) => a - b),
        counters,
      );
      assert.equal(new Set(counters).size, 4);
      const [, line = ""] = heard;
      const signed = line.slice(0, -65);
      assert.equal(
        line.slice(-64),
        createHmac("sha256", "ab".repeat(31) + "cd")
          .update(signed)
          .digest("hex"),
      );
    }
  });

  it("goes all the same when it cannot be said", async () => {
    const feeding = await feeder(true, "rest");
    await feeding.leave();
    await feeding.close();
    assert.equal(logged.match(/"goodbye"/g)?.length, 3, logged);
    assert.doesNotMatch(logged, /said goodbye/);
  });

  it("is of a reboot only where systemd has one queued, and a rest in doubt", async () => {
    const told: readonly [() => Promise<string>, Goodbye][] = [
      [() => Promise.resolve("Job=1523\n"), "reboot"],
      [() => Promise.resolve("\nJob=7\n\n"), "reboot"],
      [() => Promise.resolve("Job=\n\nJob=0\n"), "rest"],
      [() => Promise.resolve(""), "rest"],
      [() => Promise.reject(new Error("Failed to connect to bus")), "rest"],
    ];
    for (const [ask, goodbye] of told) assert.equal(await whichGoodbye(ask), goodbye);
  });
});
