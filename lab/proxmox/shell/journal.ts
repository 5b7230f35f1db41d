/** The event log: a bounded ring in memory and a file of JSON lines. Events carry names and ids, never values of options. */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import type { LabEvent } from "../core/engine.ts";
import type { LabState } from "../core/state.ts";

export const EVENTS_KEPT = 1000;

export interface TrafficLine {
  method: string;
  /** The request's path as sent. */
  path: string;
  /** Parameter names, never values. */
  params: string[];
  status: number;
}

export interface NumberedEvent extends LabEvent {
  n: number;
  /** The event in one line, for people. */
  message: string;
}

export interface Journal {
  record(events: readonly LabEvent[]): void;
  /** Events from number `since` on, oldest first. */
  recent(since: number): readonly NumberedEvent[];
  traffic(line: TrafficLine): void;
  /** Appends the host's whole firewall to `firewall.jsonl`: each state it has been in, in order. */
  firewall(state: LabState["firewall"]): void;
}

export function createJournal(stateDir: string, options: { traffic: boolean }): Journal {
  const ring: NumberedEvent[] = [];
  let next = 0;
  return {
    record(events) {
      if (events.length === 0) return;
      for (const event of events) {
        const facts = Object.entries(event.detail).filter(([key]) => key !== "upid");
        const message = [event.kind, ...facts.map(([key, value]) => `${key}=${value}`)].join(" ");
        ring.push({ n: next, message, ...event });
        next += 1;
      }
      if (ring.length > EVENTS_KEPT) ring.splice(0, ring.length - EVENTS_KEPT);
      const lines = events.map((event) => JSON.stringify(event)).join("\n");
      appendFileSync(join(stateDir, "events.jsonl"), `${lines}\n`, { mode: 0o600 });
    },
    recent: (since) => ring.filter((event) => event.n >= since),
    traffic(line) {
      if (options.traffic)
        appendFileSync(join(stateDir, "traffic.jsonl"), `${JSON.stringify(line)}\n`, { mode: 0o600 });
    },
    firewall(state) {
      appendFileSync(join(stateDir, "firewall.jsonl"), `${JSON.stringify(state)}\n`, { mode: 0o600 });
    },
  };
}
