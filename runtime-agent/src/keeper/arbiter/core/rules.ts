import type { Draft } from "./draft.ts";
import { othersLoad } from "./sense.ts";
import type { Service } from "./types.ts";

/** The one pause that does not end with its cause: it takes a low load, held for a while, to resume. */
export const loadedByOthers = "the machine is loaded by others";

/** Why a service may not run now; undefined when it may. Who already runs is judged by `mustPause`. */
export function mayNotRun(draft: Draft, service: Service): string | undefined {
  const { gates } = draft;
  if (gates.handoff) return "the card is about to move";
  if (gates.closed !== undefined) return gates.closed;
  return mustPause(draft, service);
}

/** Why a running service must be paused; undefined when it may go on. */
export function mustPause(draft: Draft, service: Service): string | undefined {
  const { gates } = draft;
  if (service.forbiddenInMarket && gates.marketOpen) return "market open";
  if (service.kind === "batch" && !gates.museInside) return "outside its night";
  if (service.rank === 4 && gates.restFour !== undefined) return gates.restFour;
  if (service.kind === "batch" && othersLoad(draft)) return loadedByOthers;
  return undefined;
}
