/** Where services are, and what becomes of one that the configuration moves while it is held back. Pure. */
import { isDeepStrictEqual } from "node:util";
import type { KeeperConfig, ServiceConfig } from "../../../../components/shared/agent/keeperConfig.ts";
import type { Fault } from "../../../../components/shared/faults.ts";
import type { Rung } from "./core/types.ts";
import type { Place, Replayed } from "./record.ts";

/** A service that the arbiter holds, or has still to set free. */
export interface Held {
  readonly place: Place;
  /** Rungs that are to be undone there. */
  readonly undo: readonly Rung[];
  /** Nobody could say since the start whether it is held there: its engine is down, say. @default false */
  readonly unasked?: boolean;
}

const holders = ["cgroup", "unit", "container", "pidFile"] as const;

export function placeOf({ cgroup, unit, container, pidFile, application }: ServiceConfig): Place {
  return { cgroup, unit, container, pidFile, application };
}

/** Whether what was done to it at `before` can no longer be undone at `now`. */
function isMoved({ place: before, undo }: Held, now: Place): boolean {
  const processes = holders.some((holder) => !isDeepStrictEqual(plain(before[holder]), plain(now[holder])));
  // A server that was put to sleep is woken by its own interface only.
  const asleep = undo.includes("application");
  return processes || (asleep && !isDeepStrictEqual(plain(before.application), plain(now.application)));
}

/** As it is read back from the journal, where what is undefined is not there. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

/** A place in words: `cgroup /hive/muse`. */
function inWords(place: Place): string {
  const holder = holderOf(place);
  const value = place[holder];
  return `${holder} ${(typeof value === "object" ? value.name : value) ?? "unknown"}`;
}

/** Every place has one of them, by the configuration's own rules. */
function holderOf(place: Place): (typeof holders)[number] {
  return holders.find((holder) => place[holder] !== undefined) ?? "unit";
}

/** Every service of a new configuration that is held at another place than it says. */
export function movedFaults(config: KeeperConfig, held: Readonly<Record<string, Held>>): readonly Fault[] {
  return (config.arbiter?.services ?? []).flatMap((service, index) => {
    const before = Object.hasOwn(held, service.name) ? held[service.name] : undefined;
    const now = placeOf(service);
    if (before === undefined || !isMoved(before, now)) return [];
    const same = inWords(before.place) === inWords(now);
    const changed = same ? (isMoved({ ...before, undo: [] }, now) ? "container" : "application") : holderOf(now);
    return [
      {
        property: `arbiter.services[${String(index)}].${changed}`,
        value: same ? "another one" : inWords(now),
        limit: `unchanged (${inWords(before.place)}) while ${
          before.unasked === true ? "it is not known whether the Keeper holds" : "the Keeper holds"
        } ${service.name}`,
        fix:
          before.unasked === true
            ? `Reload when ${service.name} can be asked at its old place: the log says why it cannot.`
            : `Reload when ${service.name} is idle, or restart the agent: its start sets the old place free.`,
      },
    ];
  });
}

/**
 * What is remembered, with every service that the configuration has moved since under another name, as one that it no
 * longer knows: such are set free where they are, and the service itself begins anew, not held.
 */
export function setMovedApart<R extends Pick<Replayed, "state" | "shell">>(
  read: R,
  configured: readonly ServiceConfig[],
): R {
  let { holds } = read.state;
  let { places, checkpointed } = read.shell;
  for (const service of configured) {
    const { name } = service;
    const place = Object.hasOwn(places, name) ? places[name] : undefined;
    if (place === undefined || !isMoved({ place, undo: holds[name]?.undo ?? [] }, placeOf(service))) continue;
    const old = `${name} at ${inWords(place)}`;
    holds = renamed(holds, name, old);
    places = renamed(places, name, old);
    checkpointed = renamed(checkpointed, name, old);
  }
  return { ...read, state: { ...read.state, holds }, shell: { ...read.shell, places, checkpointed } };
}

function renamed<T>(record: Readonly<Record<string, T>>, from: string, to: string): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name === from ? to : name, value]));
}
