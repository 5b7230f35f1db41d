import type { Draft } from "./draft.ts";
import { tell } from "./draft.ts";
import { senseHeat } from "./thermal.ts";

/** Takes in what was seen, before anything is decided: constraint, card, heat, load; and tells what changed. */
export function sense(draft: Draft): void {
  senseConstraint(draft);
  senseCard(draft);
  senseHeat(draft);
  senseLoad(draft);
  const { gates } = draft;
  tell(draft, "market", "calendar", gates.marketOpen ? "market open" : "market closed");
  tell(draft, "muse", "calendar", gates.museInside ? "the Muse's night" : "outside the Muse's night");
}

/** The stricter of the arbiter's own calendar and the host side's word; without its word, the market is open. */
function senseConstraint(draft: Draft): void {
  const { gates, seen, config, now } = draft;
  if (!config.linked) return;
  const heard = seen.constraint !== undefined && seen.constraint.untilMonotonicMs > now ? seen.constraint : undefined;
  gates.marketOpen ||= heard?.marketOpen ?? true;
  gates.handoff = heard?.handoff ?? false;
  gates.roomC = heard?.roomC;
  tell(
    draft,
    "link",
    "link",
    heard === undefined ? "no constraint in force: the market is taken as open" : "constraint in force",
  );
  tell(
    draft,
    "handoff",
    "handoff",
    gates.handoff ? "handoff planned: no grants, holders are asked to leave" : undefined,
  );
}

const mostPids = 64;

function senseCard(draft: Draft): void {
  const { gates, seen, state } = draft;
  const { gpu } = seen;
  if (gpu.kind === "unknown") {
    gates.blind = true;
    gates.closed = `GPU unknown: ${gpu.reason}`;
    gates.restFour = "the GPU is unknown";
    // The driver may have been loaded anew: its limits are set again when it answers.
    if (state.power.mode !== null) state.power = { ...state.power, mode: null, action: null, retryAtMs: null };
  }
  tell(draft, "gpu", "gpu", cardLine(draft));
  if (gpu.kind !== "known") {
    if (gpu.kind === "absent") state.settle = null;
    return;
  }
  if (state.settle !== null && state.settle.sample !== gpu.sample) state.settle = null;
  const strangers = gpu.processes.filter((p) => p.service === undefined || !draft.services.has(p.service));
  const pids = strangers.slice(0, mostPids).map((p) => p.pid);
  for (const stranger of strangers.slice(0, mostPids)) {
    if (state.unknownPids.includes(stranger.pid)) continue;
    const line = `process ${String(stranger.pid)} holds ${String(stranger.vramMiB)} MiB and belongs to no service; it is left alone`;
    draft.decisions.push({ what: "unknown-process", reason: line });
  }
  if (pids.length !== state.unknownPids.length || pids.some((pid, i) => pid !== state.unknownPids[i])) {
    state.unknownPids = pids;
  }
}

function cardLine(draft: Draft): string {
  const { gpu } = draft.seen;
  if (gpu.kind === "absent") return "no GPU here: ranks, calendar and freezing go on without VRAM, heat and power";
  return gpu.kind === "unknown" ? `GPU unknown, closed: ${gpu.reason}` : "GPU known";
}

/** Since when the load is low enough for a batch to start. An unreadable load is not low. */
function senseLoad(draft: Draft): void {
  const { seen, state, config, now } = draft;
  const low = seen.load1 !== undefined && seen.load1 < config.load.startBelow;
  if (!low) state.loadLowSinceMs = null;
  else state.loadLowSinceMs ??= now;
}

/** Whether the load has been low for long enough. */
export function loadIsLow(draft: Draft): boolean {
  const since = draft.state.loadLowSinceMs;
  return since !== null && draft.now - since >= draft.config.load.holdMs;
}

/** Whether others than the batch load the machine. Unknown unless somebody measures the batch's own part. */
export function othersLoad(draft: Draft): boolean {
  const { load1, ownLoad1 } = draft.seen;
  return load1 !== undefined && ownLoad1 !== undefined && load1 - ownLoad1 > draft.config.load.pauseAbove;
}
