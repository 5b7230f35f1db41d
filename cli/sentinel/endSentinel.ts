import { endProcess } from "../keeper/agentProcess.ts";
import { findSentinel, removeFound, sentinelFolder } from "./folder.ts";

/**
 * Ends the Sentinel of a lab, whoever started it; its state is kept. It is found by pid and start time, so that a
 * number in use again is never signalled.
 * @returns whether there was one
 */
export async function endSentinel(labStateDir: string): Promise<boolean> {
  const folder = sentinelFolder(labStateDir);
  const found = findSentinel(folder);
  if (found === undefined) return false;
  await endProcess(found);
  removeFound(folder, found);
  return true;
}
