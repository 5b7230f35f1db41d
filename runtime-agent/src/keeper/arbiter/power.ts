/** The arbiter's power modes as limits of the card. */
import { cappedLimits, ecoLimits } from "../gpu/limits.ts";
import type { GpuDevice, LimitOutcome } from "../gpu/types.ts";
import type { ArbiterSection } from "./coreConfig.ts";

type Mode = "eco" | "full" | "capped" | "restore";

/**
 * Sets the limits of a mode: clamped to what the card takes, read back, and held. `full` and `restore` give back what
 * the card had before the agent came. Switched off in the configuration, the card is never touched. Gives why it failed;
 * undefined when it did not.
 */
export async function setPowerMode(
  mode: Mode,
  gpu: GpuDevice | undefined,
  power: ArbiterSection["power"],
): Promise<string | undefined> {
  if (!power.enabled || gpu === undefined) return undefined;
  const outcome = mode === "full" || mode === "restore" ? await gpu.restore() : await lowered(mode, gpu, power);
  return outcome.ok ? undefined : outcome.reason;
}

async function lowered(mode: "eco" | "capped", gpu: GpuDevice, power: ArbiterSection["power"]): Promise<LimitOutcome> {
  const limits = await gpu.limits();
  if (limits === undefined) return { ok: false, reason: "the driver does not tell the card's limits" };
  const { ecoPercent: powerPercent, ecoClockOffsetMHz: clockOffsetMHz } = power;
  return gpu.apply(
    mode === "eco"
      ? ecoLimits(limits, gpu.original(), { powerPercent, clockOffsetMHz })
      : cappedLimits(limits, gpu.original(), powerPercent),
  );
}
