// What is set on a card: arithmetic and the keeper of limits over a scripted driver.
import assert from "node:assert/strict";
import fc from "fast-check";
import { ChildFault } from "../../runtime-agent/src/keeper/gpu/childFault.ts";
import { LimitKeeper } from "../../runtime-agent/src/keeper/gpu/limitKeeper.ts";
import { cappedLimits, clampWatts, ecoLimits, fullLimits } from "../../runtime-agent/src/keeper/gpu/limits.ts";
import type { GpuLimits, OriginalLimits } from "../../runtime-agent/src/keeper/gpu/types.ts";

const rtx3090: GpuLimits = {
  powerLimitWatts: 350,
  enforcedPowerLimitWatts: 350,
  minPowerLimitWatts: 100,
  maxPowerLimitWatts: 350,
  defaultPowerLimitWatts: 350,
  graphicsClockMHz: 1800,
  maxGraphicsClockMHz: 2100,
};
const eco = { powerPercent: 60, clockOffsetMHz: 200 };
const unsettable = { ...rtx3090, minPowerLimitWatts: undefined, maxPowerLimitWatts: undefined };

/** A card that obeys, and notes what was asked of it in order. */
function scripted(limits: GpuLimits = rtx3090, uuid = "GPU-1") {
  const asked: string[] = [];
  let power = limits.powerLimitWatts;
  return {
    asked,
    limits: async () => ({ ...limits, powerLimitWatts: power }),
    setPowerLimit: async (watts: number) => {
      asked.push(`power ${watts}`);
      power = watts;
    },
    lockGraphicsClock: async (maxMHz: number) => void asked.push(`lock ${maxMHz}`),
    resetGraphicsClock: async () => void asked.push("unlock"),
    uuid: () => uuid,
  };
}

describe("GPU limits", () => {
  it("gives the seed's eco-mode on an RTX 3090: 210 W and 1900 MHz", () => {
    assert.deepEqual(ecoLimits(rtx3090, undefined, eco), { powerLimitWatts: 210, maxGraphicsClockMHz: 1900 });
    assert.deepEqual(cappedLimits(rtx3090, undefined, 80), { powerLimitWatts: 280, maxGraphicsClockMHz: undefined });
  });

  it("counts percent from what the owner had set, also while the eco-mode is on", () => {
    const original: OriginalLimits = { uuid: "GPU-1", powerLimitWatts: 280 };
    const now = { ...rtx3090, powerLimitWatts: 168 };
    assert.equal(ecoLimits(now, original, eco).powerLimitWatts, 168);
  });

  it("asks nothing of a card that cannot be set", () => {
    assert.equal(clampWatts(200, unsettable), undefined);
    assert.deepEqual(ecoLimits({ ...unsettable, maxGraphicsClockMHz: undefined }, undefined, eco), fullLimits);
  });

  it("never leaves what the card takes", () => {
    const watts = fc.integer({ min: 1, max: 1000 });
    fc.assert(
      fc.property(watts, watts, watts, fc.double({ min: -1e6, max: 1e6, noNaN: true }), (a, b, now, wish) => {
        const [min, max] = [Math.min(a, b), Math.max(a, b)];
        const clamped = clampWatts(wish, {
          ...rtx3090,
          powerLimitWatts: now,
          minPowerLimitWatts: min,
          maxPowerLimitWatts: max,
        });
        assert.ok(clamped !== undefined && clamped >= min && clamped <= max);
        if (wish >= min && wish <= max) assert.equal(clamped, wish);
      }),
    );
  });

  it("ends where it began after any sequence of wishes", async () => {
    const wish = fc.record({
      powerLimitWatts: fc.option(fc.integer({ min: 0, max: 500 }), { nil: undefined }),
      maxGraphicsClockMHz: fc.option(fc.integer({ min: 0, max: 3000 }), { nil: undefined }),
    });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 100, max: 350 }), fc.array(wish, { maxLength: 8 }), async (start, wishes) => {
        const card = scripted({ ...rtx3090, powerLimitWatts: start });
        const records: (OriginalLimits | undefined)[] = [];
        const keeper = new LimitKeeper(card, async (original) => void records.push(original), undefined);
        for (const wanted of wishes) assert.equal((await keeper.apply(wanted)).ok, true);
        assert.equal((await keeper.restore()).ok, true);
        assert.equal((await card.limits()).powerLimitWatts, start);
        const clocks = card.asked.filter((call) => !call.startsWith("power"));
        assert.ok(clocks.length === 0 || clocks.at(-1) === "unlock");
        if (wishes.length > 0) assert.deepEqual(records, [{ uuid: "GPU-1", powerLimitWatts: start }, undefined]);
      }),
      { numRuns: 50 },
    );
  });

  it("notes the original before the first change and only once", async () => {
    const card = scripted();
    const order: string[] = [];
    const keeper = new LimitKeeper(
      card,
      async () => void order.push(`record after ${card.asked.length} calls`),
      undefined,
    );
    await keeper.apply({ powerLimitWatts: 200, maxGraphicsClockMHz: undefined });
    await keeper.change({ maxGraphicsClockMHz: 1500 });
    assert.deepEqual(order, ["record after 0 calls"]);
    assert.deepEqual(card.asked, ["power 200", "lock 1500"]);
  });

  it("does not give one card's limits to another", async () => {
    const card = scripted({ ...rtx3090, powerLimitWatts: 300 }, "GPU-new");
    const keeper = new LimitKeeper(card, async () => undefined, { uuid: "GPU-old", powerLimitWatts: 120 });
    assert.equal((await keeper.apply(fullLimits)).ok, true);
    assert.deepEqual(keeper.original(), { uuid: "GPU-new", powerLimitWatts: 300 });
    assert.deepEqual(card.asked, ["unlock"], "its clocks are freed, its power is its own");
  });

  it("turns a driver's refusal into an outcome and keeps the wish", async () => {
    const card = scripted();
    const refuse = async (): Promise<void> => Promise.reject(new ChildFault("deadline", "no answer"));
    const keeper = new LimitKeeper({ ...card, setPowerLimit: refuse }, async () => undefined, undefined);
    const wanted = { powerLimitWatts: 200, maxGraphicsClockMHz: undefined };
    assert.deepEqual(await keeper.apply(wanted), { ok: false, reason: "no answer" });
    assert.deepEqual(keeper.wanted, wanted);
    assert.equal(keeper.holds, true);
  });
});
