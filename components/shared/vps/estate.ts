/**
 * The name of a Hive, which its throwaway servers carry and its reaper goes by. It is written once, as `hive:estate` of
 * stack `sentinel`: that stack hands it to the Sentinel, and `hive agent new` takes it from the Sentinel's own answer. Pure.
 */
import type { Fault } from "../faults.ts";
import { isRecord } from "./stackSecrets.ts";

const sectionOf = (value: unknown, key: string): Readonly<Record<string, unknown>> => {
  const section = isRecord(value) ? value[key] : undefined;
  return isRecord(section) ? section : {};
};

/** A Sentinel's configuration with the estate that its stack has. A section of another form stays for its own validation. */
export function withEstate(
  config: Readonly<Record<string, unknown>>,
  estate: string,
): Readonly<Record<string, unknown>> {
  const { watch = {} } = config;
  if (!isRecord(watch)) return config;
  const { reaper = {} } = watch;
  return isRecord(reaper) ? { ...config, watch: { ...watch, reaper: { ...reaper, estate } } } : config;
}

/** What is wrong with a second place for the name: the two would part one day. */
export function estateFaults(config: unknown): readonly Fault[] {
  const { estate } = sectionOf(sectionOf(config, "watch"), "reaper");
  if (estate === undefined) return [];
  const limit = "hive:estate alone, from which it is filled in";
  return [{ property: "config.watch.reaper.estate", value: JSON.stringify(estate), limit, fix: "Remove it there." }];
}
