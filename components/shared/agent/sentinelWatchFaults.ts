/** Rules between properties of the Sentinel's `watch:` (see `crossParts.ts`). */
import { show } from "../check.ts";
import type { Fault } from "../faults.ts";
import { nearestName } from "../nearestName.ts";
import { duplicates, exactlyOne, items, mapping, numberOr, type Raw } from "./crossParts.ts";

function tellFaults(property: string, watchdog: Raw, known: readonly string[]): Fault[] {
  const named: readonly unknown[] = Array.isArray(watchdog.tell) ? watchdog.tell : [];
  return named.flatMap((name, index) => {
    if (typeof name !== "string" || known.includes(name)) return [];
    const nearest = nearestName(name, known);
    const fix = nearest === undefined ? "Declare it under watch.channels." : `Did you mean ${nearest}?`;
    const limit = known.length === 0 ? "none: there is no channel" : known.join(", ");
    return [{ property: `${property}.tell[${String(index)}]`, value: show(name), limit, fix }];
  });
}

function watchdogFaults(property: string, watchdog: Raw, known: readonly string[]): Fault[] {
  const faults = tellFaults(property, watchdog, known);
  const every = numberOr(watchdog.everySec, watchdog.type === "tls" ? 3600 : 60);
  const deadline = numberOr(watchdog.deadlineSec, 10);
  if (watchdog.type !== "heartbeat" && deadline > every) {
    const limit = `at most everySec, ${String(every)}`;
    const fix = "A look must end before the next one begins.";
    faults.push({ property: `${property}.deadlineSec`, value: String(deadline), limit, fix });
  }
  return faults;
}

function reaperFaults(property: string, reaper: Raw): Fault[] {
  const faults: Fault[] = [];
  if (reaper.estate === undefined && (reaper.proxmox !== undefined || reaper.lightsail !== undefined)) {
    const fix = "Write one that no other Hive of this account or host has; it is never changed again.";
    faults.push({ property: `${property}.estate`, limit: "a name for this Hive: a DNS label", fix });
  }
  if (reaper.proxmox === undefined) return faults;
  const proxmox = mapping(reaper.proxmox);
  faults.push(...exactlyOne(`${property}.proxmox`, proxmox, ["fingerprint", "caFile"], 1));
  if (typeof proxmox.url === "string" && proxmox.url.startsWith("http://")) {
    const fix = "Write https://: the token would travel in clear.";
    faults.push({ property: `${property}.proxmox.url`, value: show(proxmox.url), limit: "https", fix });
  }
  return faults;
}

/** Every broken rule between properties of the section that was written at `property`. */
export function sentinelWatchFaults(section: unknown, property = "watch"): readonly Fault[] {
  const raw = mapping(section);
  const [watchdogs, channels, schedules] = [items(raw.watchdogs), items(raw.channels), items(raw.schedules)];
  const known = channels.flatMap(({ name }) => (typeof name === "string" ? [name] : []));
  return [
    ...duplicates(`${property}.watchdogs`, watchdogs, "name"),
    ...duplicates(`${property}.channels`, channels, "name"),
    ...duplicates(`${property}.schedules`, schedules, "name"),
    ...watchdogs.flatMap((one, index) => watchdogFaults(`${property}.watchdogs[${String(index)}]`, one, known)),
    ...reaperFaults(`${property}.reaper`, mapping(raw.reaper)),
  ];
}
