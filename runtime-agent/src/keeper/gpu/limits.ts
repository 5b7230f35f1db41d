/** Which limits to set: pure arithmetic over what the card offers. */
import type { GpuLimits, OriginalLimits, WantedLimits } from "./types.ts";

/** The wish within what the card takes; a card that gives no constraints takes none, so undefined. */
export function clampWatts(watts: number, limits: GpuLimits): number | undefined {
  const { minPowerLimitWatts: min, maxPowerLimitWatts: max } = limits;
  if (min === undefined || max === undefined || limits.powerLimitWatts === undefined) return undefined;
  return Math.min(max, Math.max(min, watts));
}

/** The wish within what the card takes; undefined for a card that does not tell its own maximum. */
export function clampClockMHz(maxMHz: number, limits: GpuLimits): number | undefined {
  const own = limits.maxGraphicsClockMHz;
  return own === undefined ? undefined : Math.min(own, Math.max(1, Math.round(maxMHz)));
}

/**
 * Limits of the eco-mode (design §5): a share of the power limit, and the graphics clock locked `clockOffsetMHz` below
 * the card's own maximum. This is no lower voltage: NVML has no call for that; the card picks the voltage that belongs
 * to the clock. The share is of the limit that the card had before the agent came, so that an owner's own lower cap is
 * never lifted. On an RTX 3090, 60 % of 350 W is 210 W and 2100 − 200 is 1900 MHz.
 */
export function ecoLimits(
  limits: GpuLimits,
  original: OriginalLimits | undefined,
  eco: { readonly powerPercent: number; readonly clockOffsetMHz: number },
): WantedLimits {
  const full = original?.powerLimitWatts ?? limits.powerLimitWatts ?? limits.defaultPowerLimitWatts;
  const watts = full === undefined ? undefined : clampWatts((full * eco.powerPercent) / 100, limits);
  const own = limits.maxGraphicsClockMHz;
  return {
    powerLimitWatts: watts,
    maxGraphicsClockMHz: own === undefined ? undefined : clampClockMHz(own - eco.clockOffsetMHz, limits),
  };
}

/** Limits under heat: `percent` of the card's original power limit, clocks free. */
export function cappedLimits(limits: GpuLimits, original: OriginalLimits | undefined, percent: number): WantedLimits {
  return {
    ...ecoLimits(limits, original, { powerPercent: percent, clockOffsetMHz: 0 }),
    maxGraphicsClockMHz: undefined,
  };
}

/** Nothing of ours: the original power limit, free clocks. */
export const fullLimits: WantedLimits = { powerLimitWatts: undefined, maxGraphicsClockMHz: undefined };
