/**
 * The name of a Hive, which its throwaway servers carry and its reaper goes by. It is written once, as `hive:estate` of
 * stack `sentinel`: that stack hands it to the Sentinel, and `hive agent new` takes it from the Sentinel's own answer. Pure.
 */
import { text } from "../agent/configParts.ts";
import { dnsLabel } from "../check.ts";
import type { Fault } from "../faults.ts";
import { isRecord } from "./stackSecrets.ts";

/** Of the settings. There is no default: two Hives of one name would delete each other's servers. */
export const estateName = text(
  dnsLabel,
  "the name of this Hive: a-z, 0-9 and -, 1 to 63 characters, and of no other Hive in the same account or on the same host",
  "Choose one once, such as home-4f2a91 (openssl rand -hex 3 gives such an end), and never change it.",
);

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
