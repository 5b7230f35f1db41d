import {
  type FoundKeeper,
  type Identity,
  findKeeper,
  isAlive,
  keeperFolder,
  removeFound,
} from "../../lab/keeper/folder.ts";
import { endWorkers } from "../../lab/keeper/workers.ts";
import { endProcess } from "./agentProcess.ts";

/**
 * Ends the Keeper of a lab, whoever started it: its sides in good order, then the processes that stand for its services,
 * stopped ones too. Each is found by pid and start time, so that a number in use again is never signalled.
 * @returns how many processes were ended
 */
export async function endKeeper(labStateDir: string): Promise<number> {
  const folder = keeperFolder(labStateDir);
  const alive = sidesOf(findKeeper(folder));
  await Promise.all(alive.map(endProcess));
  const workers = await endWorkers(folder.services);
  removeFound(folder);
  return alive.length + workers;
}

/**
 * Ends what a killed command left of the Keeper of this lab.
 * @returns the live command that runs one, which is then left alone
 */
export async function endLeftKeeper(labStateDir: string): Promise<Identity | undefined> {
  const owner = findKeeper(keeperFolder(labStateDir))?.owner;
  if (owner !== undefined && isAlive(owner)) return owner;
  await endKeeper(labStateDir);
  return undefined;
}

/** The last one that was started stands in the list of all, too. */
function sidesOf(found: FoundKeeper | undefined): readonly Identity[] {
  if (found === undefined) return [];
  const byPid = new Map([found, ...found.sides].map((side) => [side.pid, side]));
  return [...byPid.values()].filter(isAlive);
}
