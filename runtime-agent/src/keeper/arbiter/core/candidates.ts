import type { Draft } from "./draft.ts";
import { holdOf, nextArrival } from "./draft.ts";
import { loadedByOthers, mayNotRun, outsideNight } from "./rules.ts";
import { loadIsLow } from "./sense.ts";
import type { Hold, Waiting } from "./state.ts";
import type { Service } from "./types.ts";

/** Somebody who may run now: a waiting request, a lowered service, or a scan or batch whose time has come. */
export type Candidate = {
  readonly service: Service;
  /** What it is ordered by; 9 for a resident that is only to be set free again. */
  readonly rank: number;
  readonly seq: number;
} & (
  | { readonly kind: "request"; readonly waiting: Waiting; readonly parked: Hold | undefined }
  | { readonly kind: "resume"; readonly hold: Hold }
  | { readonly kind: "start" }
);

/** Ranks are never crossed, however long somebody waits; inside a rank it is first come, first served. */
function before(a: Candidate, b: Candidate | undefined): boolean {
  return b === undefined || a.rank < b.rank || (a.rank === b.rank && a.seq < b.seq);
}

/** Who comes next of all who may run; undefined when nobody does. */
export function nextCandidate(draft: Draft): Candidate | undefined {
  let best: Candidate | undefined;
  const offer = (candidate: Candidate): void => {
    if (before(candidate, best)) best = candidate;
  };
  for (const waiting of draft.state.queue) {
    const service = draft.services.get(waiting.service);
    if (service === undefined || draft.skipped.has(service.name)) continue;
    const hold = holdOf(draft, service.name);
    const parked = hold !== undefined && hold.lease === null && !hold.wants ? hold : undefined;
    if (hold !== undefined && parked === undefined) continue;
    if (mayNotRun(draft, service) !== undefined) continue;
    offer({ kind: "request", service, rank: service.rank, seq: waiting.seq, waiting, parked });
  }
  for (const service of draft.config.services) {
    const hold = holdOf(draft, service.name);
    if (draft.skipped.has(service.name)) continue;
    if (hold === undefined) {
      const { dueSeq } = draft.state;
      if (!isDue(draft, service)) delete dueSeq[service.name];
      else offer({ kind: "start", service, rank: service.rank, seq: (dueSeq[service.name] ??= nextArrival(draft)) });
      continue;
    }
    // Whatever it was lowered for, the end of its night keeps it down: the next one begins as for a start.
    if (hold.phase === "lowered" && service.kind === "batch" && !draft.gates.museInside) hold.why = outsideNight;
    if (hold.phase !== "lowered" || mayNotRun(draft, service) !== undefined) continue;
    // Its VRAM was moved for somebody of a higher rank who still waits: bringing it back would take the room again.
    if (hold.freed && blocksHigher(draft, service)) continue;
    if ((hold.why === loadedByOthers || hold.why === outsideNight) && !loadIsLow(draft)) continue;
    offer({ kind: "resume", service, rank: hold.wants ? service.rank : 9, seq: hold.seq, hold });
  }
  return best;
}

function blocksHigher(draft: Draft, service: Service): boolean {
  for (const name of draft.skipped) {
    if ((draft.services.get(name)?.rank ?? 9) < service.rank) return true;
  }
  return false;
}

/** Whether the Keeper itself starts a service now. A scan that is first seen is due one period later. */
function isDue(draft: Draft, service: Service): boolean {
  const { state, now } = draft;
  if (service.kind === "interactive") return false;
  const startAtMs = Object.hasOwn(state.startAtMs, service.name) ? state.startAtMs[service.name] : undefined;
  if (service.kind === "scan") {
    if (service.everyMs === undefined) return false;
    if (startAtMs === undefined) state.startAtMs[service.name] = now + service.everyMs;
    if (startAtMs === undefined || now < startAtMs) return false;
  } else if ((startAtMs !== undefined && now < startAtMs) || !loadIsLow(draft)) return false;
  return mayNotRun(draft, service) === undefined;
}
