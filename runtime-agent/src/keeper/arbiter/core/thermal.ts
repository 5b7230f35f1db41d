import type { Draft } from "./draft.ts";
import { tell } from "./draft.ts";

/**
 * Heat (design §5): cap, pause rank 4, kill the lowest rank above the limit after `samples` fresh samples. A stale or
 * unknown sensor closes the card to newcomers and rests rank 4, but kills nobody: what is not known proves nothing.
 */
export function senseHeat(draft: Draft): void {
  const { gates, seen, state, config, now } = draft;
  const { gpu } = seen;
  if (gpu.kind !== "known") {
    if (state.thermal.hotSamples > 0) state.thermal = { ...state.thermal, hotSamples: 0 };
    return;
  }
  const { thermal } = config;
  const last = state.thermal;
  const fresh = gpu.sample !== last.sample;
  const celsius = gpu.temperatureC;
  const sampleAtMs = fresh ? now : last.sampleAtMs;
  const stale = now - sampleAtMs > thermal.staleMs;
  const blind = stale
    ? "the temperature sensor is stale"
    : celsius === undefined || !Number.isFinite(celsius)
      ? "the temperature is unknown"
      : undefined;
  if (blind !== undefined || celsius === undefined) {
    if (fresh || last.hotSamples > 0) state.thermal = { ...last, sample: gpu.sample, sampleAtMs, hotSamples: 0 };
    gates.blind = true;
    gates.closed = blind;
    gates.restFour = blind;
    tell(draft, "sensor", "thermal", `${blind ?? "no sensor"}: no new grants, rank 4 rests`);
    return;
  }
  tell(draft, "sensor", "thermal", undefined);
  const room = gates.roomC ?? Number.NEGATIVE_INFINITY;
  const hot = celsius > thermal.limitC;
  if (fresh) {
    const counts = now - last.countedAtMs >= thermal.sampleGapMs;
    const countedAtMs = hot && counts ? now : last.countedAtMs;
    state.thermal = {
      sample: gpu.sample,
      sampleAtMs,
      hotSamples: hot ? last.hotSamples + (counts ? 1 : 0) : 0,
      countedAtMs,
      capped: still(last.capped, celsius, thermal.capC, thermal.hysteresisC) || room >= thermal.roomCapC,
      paused: still(last.paused, celsius, thermal.pauseC, thermal.hysteresisC),
    };
  }
  if (hot) gates.closed = `${String(celsius)} °C is above ${String(thermal.limitC)} °C`;
  if (state.thermal.paused) gates.restFour = `${String(thermal.pauseC)} °C was reached`;
  tell(draft, "cap", "thermal", state.thermal.capped ? "power is capped for heat" : undefined);
}

/** Begins at a threshold and ends `hysteresis` below it. */
function still(before: boolean, value: number, threshold: number, hysteresis: number): boolean {
  return value >= threshold || (before && value > threshold - hysteresis);
}
