// Power limit and clocks of the lab's card through the real child: clamped, read back, held, restored.
import assert from "node:assert/strict";
import { ecoLimits } from "../../runtime-agent/src/keeper/gpu/limits.ts";
import { NvmlDevice } from "../../runtime-agent/src/keeper/gpu/nvmlDevice.ts";
import type { GpuEvent, NvmlDeviceOptions } from "../../runtime-agent/src/keeper/gpu/nvmlDevice.ts";
import type { OriginalLimits } from "../../runtime-agent/src/keeper/gpu/types.ts";
import { fakeCard, gpuChildCommand, until } from "../support/fakeGpu.ts";
import type { FakeCard } from "../support/fakeGpu.ts";

const eco = { powerPercent: 60, clockOffsetMHz: 200 };

describe("GPU limits", function () {
  this.timeout(60_000);
  let card: FakeCard;
  let device: NvmlDevice | undefined;
  let events: GpuEvent[] = [];
  let records: (OriginalLimits | undefined)[] = [];

  before(async function () {
    card = await fakeCard(this);
  });
  after(() => card?.remove());
  beforeEach(() => card.gpu.reset());
  afterEach(() => device?.close());

  async function open(options: Partial<NvmlDeviceOptions> = {}): Promise<NvmlDevice> {
    events = [];
    records = [];
    device = new NvmlDevice({
      childCommand: gpuChildCommand,
      selector: { index: 0 },
      library: card.nvml,
      deadlineMs: 20_000,
      pauseMs: { first: 10, max: 50 },
      onEvent: (event) => void events.push(event),
      recordOriginal: async (original) => void records.push(original),
      ...options,
    });
    const gpu = device;
    await until(
      () => gpu.read(),
      ({ kind }) => kind === "known",
    );
    return gpu;
  }

  it("reads what the card takes", async () => {
    const gpu = await open();
    assert.deepEqual(await gpu.limits(), {
      powerLimitWatts: 350,
      enforcedPowerLimitWatts: 350,
      minPowerLimitWatts: 100,
      maxPowerLimitWatts: 350,
      defaultPowerLimitWatts: 350,
      graphicsClockMHz: 1800,
      maxGraphicsClockMHz: 2100,
    });
  });

  it("sets the eco-mode: 60 % of the power, 200 MHz below the card's own clock", async () => {
    const gpu = await open();
    const limits = await gpu.limits();
    assert.ok(limits);
    const outcome = await gpu.apply(ecoLimits(limits, gpu.original(), eco));
    assert.deepEqual(outcome, { ok: true, powerLimitWatts: 210, maxGraphicsClockMHz: 1900, clamped: false });
    assert.deepEqual(await card.gpu.limits(), { powerLimitWatts: 210, lockedMaxMHz: 1900 });
    assert.deepEqual(records, [{ uuid: card.gpu.state.uuid, powerLimitWatts: 350 }], "noted before the change");
  });

  it("clamps to what the card takes and says so", async () => {
    const gpu = await open();
    const low = await gpu.setPowerLimitWatts(20);
    assert.deepEqual(low, { ok: true, powerLimitWatts: 100, maxGraphicsClockMHz: undefined, clamped: true });
    const high = await gpu.setPowerLimitWatts(9000);
    assert.deepEqual(high.ok && high.powerLimitWatts, 350);
    const clock = await gpu.lockGraphicsClockMHz(9000);
    assert.deepEqual(clock.ok && [clock.maxGraphicsClockMHz, clock.clamped], [2100, true]);
  });

  it("does not believe a card that takes a limit and keeps its own", async () => {
    await card.gpu.set({ ignoresPowerLimit: true });
    const gpu = await open();
    assert.deepEqual(await gpu.setPowerLimitWatts(200), {
      ok: false,
      reason: "the power limit was set to 200 W and reads 350",
    });
  });

  it("says that the driver forbids it, and goes on reading", async () => {
    await card.gpu.set({ fail: { nvmlDeviceSetPowerManagementLimit: 4 } });
    const gpu = await open();
    assert.deepEqual(await gpu.setPowerLimitWatts(200), {
      ok: false,
      reason: "nvmlDeviceSetPowerManagementLimit: no permission: this needs root (4)",
    });
    assert.equal((await gpu.read()).kind, "known");
  });

  it("changes nothing when the original cannot be noted", async () => {
    const gpu = await open({
      recordOriginal: async () => {
        throw new Error("disk full");
      },
    });
    assert.deepEqual(await gpu.setPowerLimitWatts(200), { ok: false, reason: "limits: disk full" });
    assert.deepEqual(await card.gpu.limits(), { powerLimitWatts: undefined, lockedMaxMHz: undefined });
  });

  it("sets the limits again after a driver reload", async () => {
    const gpu = await open();
    await gpu.apply({ powerLimitWatts: 210, maxGraphicsClockMHz: 1900 });
    await card.gpu.reloadDriver();
    assert.deepEqual(await card.gpu.limits(), { powerLimitWatts: undefined, lockedMaxMHz: undefined });
    assert.equal((await gpu.read()).kind, "unknown");
    await until(
      () => gpu.read(),
      ({ kind }) => kind === "known",
    );
    await until(
      async () => events.some(({ kind }) => kind === "reapplied"),
      (done) => done,
    );
    assert.deepEqual(await card.gpu.limits(), { powerLimitWatts: 210, lockedMaxMHz: 1900 });
  });

  it("restores what the card had, an owner's own cap included", async () => {
    await card.gpu.set({ startPowerLimitWatts: 280 });
    const gpu = await open();
    const limits = await gpu.limits();
    assert.ok(limits);
    const applied = await gpu.apply(ecoLimits(limits, gpu.original(), eco));
    assert.equal(applied.ok && applied.powerLimitWatts, 168, "60 % of the owner's 280 W");
    const full = await gpu.apply({ powerLimitWatts: undefined, maxGraphicsClockMHz: undefined });
    assert.equal(full.ok && full.powerLimitWatts, 280);
    await gpu.apply({ powerLimitWatts: 150, maxGraphicsClockMHz: 1500 });
    assert.equal((await gpu.restore()).ok, true);
    assert.deepEqual(await card.gpu.limits(), { powerLimitWatts: 280, lockedMaxMHz: undefined });
    assert.deepEqual(records.at(-1), undefined, "the note is gone");
    assert.equal(gpu.original(), undefined);
  });

  it("restores after a crash from what the killed agent noted", async () => {
    const killed = await open();
    await killed.apply({ powerLimitWatts: 210, maxGraphicsClockMHz: 1900 });
    const noted = records[0];
    assert.ok(noted);
    await killed.close();
    const gpu = await open({ recorded: noted });
    assert.deepEqual(gpu.original(), noted, "not the 210 W that are on the card now");
    assert.deepEqual(await gpu.restore(), {
      ok: true,
      powerLimitWatts: 350,
      maxGraphicsClockMHz: undefined,
      clamped: false,
    });
    assert.deepEqual(await card.gpu.limits(), { powerLimitWatts: 350, lockedMaxMHz: undefined });
  });

  it("touches nothing on leave when it never did", async () => {
    const gpu = await open();
    assert.equal((await gpu.restore()).ok, true);
    assert.deepEqual(await card.gpu.limits(), { powerLimitWatts: undefined, lockedMaxMHz: undefined });
  });

  it("tells of a hanging driver within the deadline instead of waiting", async () => {
    const gpu = await open({ deadlineMs: 2000 });
    await card.gpu.set({ hang: ["nvmlDeviceSetPowerManagementLimit"] });
    assert.deepEqual(await gpu.setPowerLimitWatts(200), {
      ok: false,
      reason: "no answer to setPowerLimit within 2000 ms",
    });
    await card.gpu.set({ hang: [] });
    await until(
      () => gpu.read(),
      ({ kind }) => kind === "known",
    );
    await until(
      async () => (await card.gpu.limits()).powerLimitWatts,
      (watts) => watts === 200,
    );
  });
});
