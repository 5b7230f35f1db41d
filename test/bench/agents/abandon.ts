import { findSentinel, removeFound, sentinelFolder } from "../../../cli/sentinel/folder.ts";
import { killAll, processesOn } from "../../campaign/victims.ts";
import type { Estate } from "../../support/estate.ts";

/** Ends at once what a signal leaves no time to end in good order; what has gone by itself is no fault. */
export function abandon({
  folder,
  info,
}: {
  readonly folder: Pick<Estate["folder"], "root" | "lab">;
  readonly info: Pick<Estate["info"], "pid">;
}): void {
  const place = sentinelFolder(folder.lab);
  // The present one: the bench starts it anew after each kill, without the folder's name in its environment.
  const sentinel = findSentinel(place);
  // Commands first: they would start the others again.
  killAll([...processesOn(folder.root).map(({ pid }) => pid), info.pid, ...(sentinel ? [sentinel.pid] : [])]);
  if (sentinel !== undefined) removeFound(place, sentinel);
}
