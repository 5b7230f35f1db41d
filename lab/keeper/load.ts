// The load of an evening: the player sets it, the Keeper reads it in the place of /proc/loadavg.
import { writeFileAtomic } from "../host/files.ts";

/** The machine of an evening while nothing of it is told. */
export const idleLoad = 0.2;

/** Writes the file as the kernel does: load of one, five and fifteen minutes, processes, and the last pid. */
export function writeLoad(file: string, load1: number): void {
  const text = load1.toFixed(2);
  writeFileAtomic(file, `${text} ${text} ${text} 1/100 1000\n`);
}
