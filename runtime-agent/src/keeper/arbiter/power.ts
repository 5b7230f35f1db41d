/** The arbiter's power modes as limits of the card. */
import { cappedLimits, ecoLimits } from "../gpu/limits.ts";
import type { GpuDevice, LimitOutcome } from "../gpu/types.ts";
import type { ArbiterSection } from "./coreConfig.ts";

type Mode = "eco" | "full" | "capped" | "restore";

/**
 * Sets the limits of a mode: clamped to what the card takes, read back, and held. `full` and `restore` give back what
 * the card had before the agent came. Switched off in the configuration, the card is never touched.
 */
export async function setPowerMode(
  mode: Mode,
  gpu: GpuDevice | undefined,
  power: ArbiterSection["power"],
): Promise<LimitOutcome> {
  const untouched: LimitOutcome = {
    ok: true,
    powerLimitWatts: undefined,
    maxGraphicsClockMHz: undefined,
    clamped: false,
  };
  if (!power.enabled || gpu === undefined) return untouched;
  if (mode === "full" || mode === "restore") return gpu.restore();
  const limits = await gpu.limits();
  if (limits === undefined) return { ok: false, reason: "the driver does not tell the card's limits" };
  const { ecoPercent: powerPercent, ecoClockOffsetMHz: clockOffsetMHz } = power;
  return gpu.apply(
    mode === "eco"
      ? ecoLimits(limits, gpu.original(), { powerPercent, clockOffsetMHz })
      : cappedLimits(limits, gpu.original(), powerPercent),
  );
}
