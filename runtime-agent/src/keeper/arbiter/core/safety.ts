import type { Draft } from "./draft.ts";
import { holdOf, say } from "./draft.ts";
import { endHold } from "./holds.ts";
import { canRest, residentMiB } from "./ladder.ts";
import { lower } from "./lower.ts";
import { cardForbids } from "./rules.ts";
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
 * Whether a service sits on the card with no hold: started by hand or by systemd, or left there after its lease. Not by
 * a sample from before somebody left.
 */
function isLoose(draft: Draft, service: Service): boolean {
  return holdOf(draft, service.name) === undefined && draft.state.settle === null && residentMiB(draft, service) > 0;
}

/**
 * Services on the card with no hold are paused by gentle rungs while the market or the heat forbids them, and set free
 * afterwards, when the card is. Nobody asked for them: for anything but heat above the limit they are not ended.
 */
export function restLoose(draft: Draft): void {
  for (const service of draft.config.services) {
    const why = cardForbids(draft, service);
    if (why === undefined || !canRest(draft, service)) continue;
    const hold = holdOf(draft, service.name);
    const failed = hold !== undefined && hold.phase === "lowered" && !hold.rests;
    if (!failed && !isLoose(draft, service)) continue;
    // What was tried before is tried again.
    if (failed) hold.tried = [];
    lower(draft, service, "pause", why, true);
  }
}

/**
 * Kills the lowest rank on the card once enough fresh samples in a row were above the limit; then counts anew. A frozen
 * service counts while its VRAM is there: what it gave the card before may still run. So does one with no hold.
 */
export function killForHeat(draft: Draft): void {
  const { state, config, seen } = draft;
  const { thermal } = config;
  if (seen.gpu.kind !== "known" || state.thermal.hotSamples < thermal.samples) return;
  const loose = config.services.filter((service) => isLoose(draft, service));
  const onCard = held(draft)
    .filter(({ service, hold }) => hold.phase !== "lowered" || residentMiB(draft, service) > 0)
    .filter(({ hold }) => hold.step?.goal !== "kill")
    .map(({ service, hold }) => ({ service, seq: hold.seq }));
  // Inside a rank those that nobody let in go first, then the last one that came.
  const victim = [...loose.map((service) => ({ service, seq: Number.MAX_SAFE_INTEGER })), ...onCard]
    .filter(({ service }) => service.rank >= thermal.killFromRank)
    .sort((a, b) => b.service.rank - a.service.rank || b.seq - a.seq)[0];
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
