import type { Draft } from "./draft.ts";
import { say } from "./draft.ts";
import { endHold } from "./holds.ts";
import { residentMiB } from "./ladder.ts";
import { lower } from "./lower.ts";
import type { Hold } from "./state.ts";
import type { Service } from "./types.ts";

function held(draft: Draft): { readonly service: Service; readonly hold: Hold }[] {
  return Object.entries(draft.state.holds).flatMap(([name, hold]) => {
    const service = draft.services.get(name);
    return service === undefined ? [] : [{ service, hold }];
  });
}

/** Leases that nobody renewed end; a scan that takes too long is ended. */
export function expireHolds(draft: Draft): void {
  for (const { service, hold } of held(draft)) {
    if (hold.phase !== "running" || hold.untilMs === null || draft.now < hold.untilMs) continue;
    if (hold.lease !== null) endHold(draft, service, "not renewed in time");
    else if (!draft.gates.blind) lower(draft, service, "end", "took longer than it may");
  }
}

/**
 * Kills the lowest rank on the card once enough fresh samples in a row were above the limit; then counts anew. A frozen
 * service counts while its VRAM is there: what it gave the card before may still run.
 */
export function killForHeat(draft: Draft): void {
  const { state, config, seen } = draft;
  const { thermal } = config;
  if (seen.gpu.kind !== "known" || state.thermal.hotSamples < thermal.samples) return;
  const victim = held(draft)
    .filter(({ service, hold }) => service.rank >= thermal.killFromRank && hold.step?.goal !== "kill")
    .filter(({ service, hold }) => hold.phase !== "lowered" || residentMiB(draft, service) > 0)
    .sort((a, b) => b.service.rank - a.service.rank || b.hold.seq - a.hold.seq)[0];
  const line = `above ${String(thermal.limitC)} °C in ${String(state.thermal.hotSamples)} fresh samples`;
  state.thermal = { ...state.thermal, hotSamples: 0 };
  if (victim === undefined) say(draft, "thermal", `${line}, and nobody of a rank that may be killed is on the card`);
  else lower(draft, victim.service, "kill", line);
}

/**
 * A planned handoff: clients lose their leases, others are asked once to end (TERM), one at a time. Nobody is killed:
 * the host side decides what becomes of a VM that is not empty in time.
 */
export function askToLeave(draft: Draft): void {
  const holds = held(draft);
  if (!draft.gates.handoff) {
    for (const { hold } of holds) {
      if (hold.goal === "leave" && hold.step === null) Object.assign(hold, { goal: null, tried: [] });
    }
    return;
  }
  for (const { service, hold } of holds) {
    if (hold.phase === "running" && hold.lease !== null) endHold(draft, service, "the card is about to move");
  }
  if (holds.some(({ hold }) => hold.phase === "lowering")) return;
  // One that still starts or is raised is asked when it runs.
  const next = holds.find(
    ({ service, hold }) =>
      (hold.phase === "lowered" || (hold.phase === "running" && hold.lease === null)) &&
      service.rungs.includes("term") &&
      !(hold.goal === "leave" && hold.tried.includes("term")),
  );
  if (next !== undefined) lower(draft, next.service, "leave", "the card is about to move");
}
