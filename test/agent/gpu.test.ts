// The GPU child as it ships, over the lab's NVML: readings, and every way a driver misbehaves.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { NvmlDevice } from "../../runtime-agent/src/keeper/gpu/nvmlDevice.ts";
import type { GpuEvent, NvmlDeviceOptions } from "../../runtime-agent/src/keeper/gpu/nvmlDevice.ts";
import { toCoreGpu } from "../../runtime-agent/src/keeper/gpu/types.ts";
import type { GpuReading } from "../../runtime-agent/src/keeper/gpu/types.ts";
import { fakeCard, gpuChildCommand, until } from "../support/fakeGpu.ts";
import type { FakeCard } from "../support/fakeGpu.ts";

const quick = { pauseMs: { first: 10, max: 50 } } as const;
const isKnown = (reading: GpuReading): boolean => reading.kind === "known";

describe("GPU readings", function () {
  this.timeout(60_000);
  let card: FakeCard;
  let device: NvmlDevice | undefined;
  let events: GpuEvent[] = [];

  before(async function () {
    card = await fakeCard(this);
  });
  after(() => card?.remove());
  beforeEach(() => card.gpu.reset());
  afterEach(() => device?.close());

  function open(options: Partial<NvmlDeviceOptions> = {}): NvmlDevice {
    events = [];
    const onEvent = (event: GpuEvent): void => void events.push(event);
    device = new NvmlDevice({
      childCommand: gpuChildCommand,
      selector: { index: 0 },
      library: card.nvml,
      deadlineMs: 20_000,
      onEvent,
      ...quick,
      ...options,
    });
    return device;
  }

  it("reads memory, heat, power, clocks and each process once, and numbers its samples", async () => {
    await card.gpu.set({
      vramUsedMiB: 500,
      temperatureC: 63,
      powerWatts: 212.5,
      utilizationPercent: 97,
      processes: [
        { pid: 4001, vramMiB: 8000 },
        { pid: 4002, vramMiB: -1 },
        { pid: 4003, vramMiB: 100, kind: "graphics" },
        { pid: 4001, vramMiB: 0, kind: "graphics" },
      ],
    });
    const gpu = open();
    const first = await gpu.read();
    assert.deepEqual(first, {
      kind: "known",
      sample: 1,
      ageMs: 0,
      name: "NVIDIA GeForce RTX 3090",
      uuid: "GPU-00000000-0000-0000-0000-000000000001",
      driverVersion: "575.57.08",
      vramTotalMiB: 24_576,
      vramUsedMiB: 8600,
      vramFreeMiB: 15_976,
      temperatureC: 63,
      powerWatts: 212.5,
      powerLimitWatts: 350,
      graphicsClockMHz: 1800,
      memoryClockMHz: 9751,
      utilizationPercent: 97,
      processes: [
        { pid: 4001, vramMiB: 8000, kind: "compute" },
        { pid: 4002, vramMiB: undefined, kind: "compute" },
        { pid: 4003, vramMiB: 100, kind: "graphics" },
      ],
    });
    const [a, b] = await Promise.all([gpu.read(), gpu.read()]);
    assert.equal(a, b, "two reads at once are one sample");
    assert.equal(a.kind === "known" && a.sample, 2);
    const core = toCoreGpu(a);
    assert.deepEqual(core.kind === "known" && core.processes[1], { pid: 4002, vramMiB: 0 });
  });

  it("lists more processes than the first buffer holds", async () => {
    const processes = Array.from({ length: 150 }, (_, index) => ({ pid: 5000 + index, vramMiB: 10 }));
    await card.gpu.set({ processes });
    const reading = await open().read();
    assert.equal(reading.kind === "known" && reading.processes.length, 150);
  });

  it("finds the card by its UUID, and says what it did not find", async () => {
    const found = await open({ selector: { uuid: card.gpu.state.uuid } }).read();
    assert.equal(found.kind, "known");
    await device?.close();
    const lost = await open({ selector: { uuid: "GPU-other" } }).read();
    assert.deepEqual(lost, { kind: "absent", reason: "nvmlDeviceGetHandleByUUID: no such card (6)" });
    await device?.close();
    const beyond = await open({ selector: { index: 3 } }).read();
    assert.equal(beyond.kind, "absent");
  });

  it("is absent without a library or a driver, and sees one that comes later", async () => {
    const none = await open({ library: "/nonexistent/libnvidia-ml.so.1" }).read();
    assert.equal(none.kind, "absent");
    assert.match(none.kind === "absent" ? none.reason : "", /libnvidia-ml\.so\.1 cannot be loaded/);
    await device?.close();

    await card.gpu.set({ fail: { nvmlInit_v2: 9 } });
    let now = 0;
    const gpu = open({ now: () => now, absentRetryMs: 1000 });
    assert.deepEqual(await gpu.read(), { kind: "absent", reason: "nvmlInit_v2: the NVIDIA driver is not loaded (9)" });
    await card.gpu.set({ fail: {} });
    assert.equal((await gpu.read()).kind, "absent", "believed for absentRetryMs");
    const children = events.filter(({ kind }) => kind === "started").length;
    assert.equal(children, 1, "no process is started meanwhile");
    now = 2000;
    assert.equal((await until(() => gpu.read(), isKnown)).kind, "known");
  });

  it("has no value where the card has no sensor", async () => {
    await card.gpu.set({
      fail: { nvmlDeviceGetPowerUsage: 3, nvmlDeviceGetTemperature: 3, nvmlDeviceGetMemoryInfo_v2: 25 },
    });
    const reading = await open().read();
    assert.ok(reading.kind === "known");
    assert.equal(reading.temperatureC, undefined);
    assert.equal(reading.powerWatts, undefined);
    assert.equal(reading.vramTotalMiB, 24_576, "memory info falls back to the first version");
  });

  it("is unknown within the deadline when the driver hangs, kills the child and comes back", async () => {
    const gpu = open({ deadlineMs: 2000 });
    await until(() => gpu.read(), isKnown);
    const pid = gpu.childPid;
    await card.gpu.set({ hang: ["nvmlDeviceGetTemperature"] });
    let turns = 0;
    const loop = setInterval(() => (turns += 1), 10);
    const hung = await gpu.read();
    clearInterval(loop);
    assert.deepEqual(hung, { kind: "unknown", reason: "no answer to sample within 2000 ms" });
    assert.ok(turns > 20, "the loop went on meanwhile");
    assert.equal(gpu.latest(1).kind, "unknown", "an old sample is not a reading");
    assert.equal(gpu.latest(60_000).kind, "known");
    await until(
      async () => isAlive(pid),
      (alive) => !alive,
    );
    await card.gpu.set({ hang: [] });
    const back = await until(() => gpu.read(), isKnown);
    assert.equal(back.kind === "known" && back.sample, 2);
    assert.notEqual(gpu.childPid, pid);
  });

  it("is unknown, not absent, while opening the driver hangs", async () => {
    await card.gpu.set({ hang: ["nvmlInit_v2"] });
    const gpu = open({ deadlineMs: 100, startDeadlineMs: 1500 });
    assert.equal((await gpu.read()).kind, "unknown");
    await until(
      async () => events,
      (all) => all.some(({ kind }) => kind === "killed"),
    );
    await card.gpu.set({ hang: [] });
    await until(() => gpu.read(), isKnown);
  });

  it("comes back after kill -9 of the child", async () => {
    const gpu = open();
    await gpu.read();
    const pid = gpu.childPid;
    assert.ok(pid !== undefined);
    process.kill(pid, "SIGKILL");
    await until(
      async () => gpu.childPid,
      (now) => now !== pid,
    );
    const back = await until(() => gpu.read(), isKnown);
    assert.equal(back.kind === "known" && back.sample, 2);
  });

  it("opens the driver anew when the card is lost or the driver was reloaded", async () => {
    const gpu = open();
    await gpu.read();
    await card.gpu.set({ fail: { nvmlDeviceGetMemoryInfo_v2: 15 } });
    const lost = await gpu.read();
    assert.deepEqual(lost, {
      kind: "unknown",
      reason: "nvmlDeviceGetMemoryInfo_v2: the card has fallen off the bus (15)",
    });
    await card.gpu.set({ fail: { nvmlInit_v2: 9 } });
    const reloading = await until(
      () => gpu.read(),
      ({ kind, ...rest }) => kind === "unknown" && /not loaded/.test(JSON.stringify(rest)),
    );
    assert.equal(reloading.kind, "unknown", "a card that was there is not absent");
    await card.gpu.set({ fail: {} });
    await until(() => gpu.read(), isKnown);
  });

  it("ends its child when it is closed, and answers still", async () => {
    const gpu = open();
    await gpu.read();
    const pid = gpu.childPid;
    await gpu.close();
    assert.equal(isAlive(pid), false);
    assert.equal((await gpu.read()).kind, "unknown");
  });

  it("leaves no child that hangs in the driver behind when the agent is killed", async () => {
    await card.gpu.set({ hang: ["nvmlInit_v2"] });
    const [file = "", ...command] = gpuChildCommand;
    const script = `const c=require("child_process").spawn(${JSON.stringify(file)},
      ${JSON.stringify([...command, card.nvml, "0"])}.concat(String(process.pid)),{stdio:["pipe","pipe","inherit"]});
      console.log(c.pid);setInterval(()=>0,1e6)`;
    const agent = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    const pid = await new Promise<number>((resolve) => agent.stdout.once("data", (text) => resolve(Number(text))));
    // The library is mapped: the child is past its preparation and in the driver's call.
    const maps = () => readFile(`/proc/${pid}/maps`, "utf8").catch(() => "");
    await until(maps, (text) => text.includes("libnvidia-ml.so.1"));
    agent.kill("SIGKILL");
    await until(
      async () => isRunning(pid),
      (running) => !running,
    );
  });

  it("keeps the child small", async function () {
    const gpu = open();
    for (let round = 0; round < 20; round += 1) await gpu.read();
    const rollup = await readFile(`/proc/${gpu.childPid}/smaps_rollup`, "utf8");
    const anonymousMiB = Number(/^Anonymous:\s+(\d+)/m.exec(rollup)?.[1]) / 1024;
    assert.ok(anonymousMiB < 40, `${anonymousMiB} MiB of its own`);
  });

  it("is unknown when the child cannot be started", async () => {
    const reading = await open({ childCommand: ["/nonexistent/node"] }).read();
    assert.match(reading.kind === "unknown" ? reading.reason : "", /cannot be started.*ENOENT/);
  });

  for (const [what, script] of [
    ["text", "process.stdout.write('hello there\\n')"],
    ["a sample of the wrong shape", fakeChild(`{id:r.id,ok:{vramTotalMiB:-1}}`)],
    ["an answer to another question", fakeChild(`{id:r.id+7,ok:{}}`)],
    [
      "an endless line",
      "const b='x'.repeat(65536);for(let i=0;i<10;i++)process.stdout.write(b);setInterval(()=>0,1e6)",
    ],
    ["nothing but its end", "process.exit(3)"],
  ] as const) {
    it(`is unknown when the child sends ${what}`, async () => {
      const gpu = open({ childCommand: [process.execPath, "-e", script, "--"] });
      const reading = await gpu.read();
      assert.equal(reading.kind, "unknown");
      assert.equal((await gpu.read()).kind, "unknown");
    });
  }
});

function fakeChild(answer: string): string {
  const hello = `{hello:{identity:{name:"n",uuid:"u",driverVersion:"575.1"}}}`;
  return [
    `const say=(o)=>process.stdout.write(JSON.stringify(o)+"\\n");say(${hello});`,
    `process.stdin.on("data",(t)=>{const r=JSON.parse(t);say(${answer})})`,
  ].join("");
}

function isAlive(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Whether the process exists and is no zombie: an orphan's end may wait for its new parent. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
