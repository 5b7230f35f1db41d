import type { Log } from "../shared/log.ts";

/** What a lab may put in the place of the machine's own. No unit and no configuration sets them. */
const variables = ["HIVE_LAB_CLOCK", "HIVE_LAB_LOAD"] as const;

/** Says at the start what is not the machine's own, so that nobody takes the lab's word for it. */
export function warnOfLab(log: Log, used: readonly (typeof variables)[number][] = variables, env = process.env): void {
  for (const name of used) {
    const value = env[name];
    if (value !== undefined && value !== "") log.warning("a lab stands in for the machine", { variable: name, value });
  }
}
