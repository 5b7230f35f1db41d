import type { Draft } from "./draft.ts";
import { othersLoad } from "./sense.ts";
import type { Service } from "./types.ts";

/** Pauses of a batch that do not end with their cause: it takes a low load, held for a while, to resume. */
export const loadedByOthers = "the machine is loaded by others";
export const outsideNight = "outside its night";

/** Why a service may not run now; undefined when it may. Who already runs is judged by `mustPause`. */
export function mayNotRun(draft: Draft, service: Service): string | undefined {
  const { gates } = draft;
  if (gates.handoff) return "the card is about to move";
  if (gates.closed !== undefined) return gates.closed;
  return mustPause(draft, service);
}

/** Why a service may not use the card at all just now, not even with no hold; undefined when it may. */
export function cardForbids(draft: Draft, service: Service): string | undefined {
  const { gates } = draft;
  if (service.forbiddenInMarket && gates.marketOpen) return "market open";
  return service.rank === 4 ? gates.restFour : undefined;
}

/** Why a running service must be paused; undefined when it may go on. */
export function mustPause(draft: Draft, service: Service): string | undefined {
  const forbidden = cardForbids(draft, service);
  if (forbidden !== undefined) return forbidden;
  if (service.kind === "batch" && !draft.gates.museInside) return outsideNight;
  if (service.kind === "batch" && othersLoad(draft)) return loadedByOthers;
  return undefined;
}
