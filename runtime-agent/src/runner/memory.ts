/** What the kernel counts for the agent's memory: memory.events and memory.pressure of its control group. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { MemoryEvents } from "../../../components/shared/signals/protocol.ts";

export interface MemorySeen {
  readonly events: MemoryEvents | undefined;
  /** PSI `some avg60`, percent. */
  readonly pressurePercent: number | undefined;
}

function numberOf(text: string, name: string): number {
  return Number(new RegExp(`^${name} (\\d{1,15})$`, "m").exec(text)?.[1] ?? 0);
}

/** Reads memory.events (cgroup-v2.rst); undefined when it is none. */
export function parseMemoryEvents(text: string): MemoryEvents | undefined {
  if (!/^oom_kill \d/m.test(text)) return undefined;
  return {
    high: numberOf(text, "high"),
    max: numberOf(text, "max"),
    oom: numberOf(text, "oom"),
    oomKill: numberOf(text, "oom_kill"),
  };
}

/** `some avg60` of a pressure file (psi.rst), percent. */
export function parsePressure(text: string): number | undefined {
  const value = /^some .*\bavg60=(\d{1,3}(?:\.\d+)?)\b/m.exec(text)?.[1];
  return value === undefined ? undefined : Math.min(100, Number(value));
}

const zero: MemoryEvents = { high: 0, max: 0, oom: 0, oomKill: 0 };

function combine(a: MemoryEvents, b: MemoryEvents, by: (x: number, y: number) => number): MemoryEvents {
  return { high: by(a.high, b.high), max: by(a.max, b.max), oom: by(a.oom, b.oom), oomKill: by(a.oomKill, b.oomKill) };
}

/**
 * A watch over a group's memory. Its counts never fall: systemd may remove the group between runs, and the kernel then
 * counts from 0 again.
 */
export function watchMemory(group: string): { look(): Promise<MemorySeen>; oomKills(): number } {
  let gone = zero;
  let last = zero;
  const read = (name: string): Promise<string> => readFile(join(group, name), "utf8").catch(() => "");
  return {
    async look() {
      const [eventText, pressureText] = await Promise.all([read("memory.events"), read("memory.pressure")]);
      const seen = parseMemoryEvents(eventText);
      if (seen !== undefined) {
        if (seen.oomKill < last.oomKill || seen.max < last.max || seen.high < last.high) {
          gone = combine(gone, last, (x, y) => x + y);
        }
        last = seen;
      }
      return {
        events: seen === undefined ? undefined : combine(gone, seen, (x, y) => x + y),
        pressurePercent: parsePressure(pressureText),
      };
    },
    oomKills: () => gone.oomKill + last.oomKill,
  };
}
