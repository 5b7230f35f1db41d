/** What the Sentinel says of itself to Prometheus. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { createRegistry } from "../shared/metrics.ts";
import type { Event, Outcome } from "./core/events.ts";
import type { SentinelState } from "./core/state.ts";
import type { AgentView } from "./extension.ts";
import type { Delivered } from "./loop.ts";

export interface SentinelNumbers {
  readonly state: SentinelState;
  readonly agents: () => readonly AgentView[];
  readonly knownKeys: () => number;
  readonly wallMs: () => number;
}

export interface SentinelMetrics {
  readonly registry: Registry;
  tried(transport: "http" | "ssh", outcome: Delivered["kind"]): void;
  /** Counts what an event led to. */
  count(event: Event, outcome: Outcome): void;
}

/** From a local network's milliseconds to a server that was away. */
const handOverSec = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600];

export function sentinelMetrics(numbers: SentinelNumbers): SentinelMetrics {
  const { state } = numbers;
  const registry = createRegistry({ role: "sentinel" });
  const registers = [registry];
  new Gauge({
    name: "hive_sentinel_agents",
    help: "Agents of the registry by how they stand",
    labelNames: ["state"],
    registers,
    collect() {
      const count = { alive: 0, silent: 0, unregistered: 0, reaper: 0 };
      for (const { handedOver, registered, alive } of numbers.agents()) {
        if (handedOver !== undefined) count.reaper += 1;
        else if (registered === undefined) count.unregistered += 1;
        else count[alive ? "alive" : "silent"] += 1;
      }
      for (const [name, value] of Object.entries(count)) this.set({ state: name }, value);
    },
  });
  new Gauge({
    name: "hive_sentinel_runs",
    help: "Runs that are remembered, by phase",
    labelNames: ["phase"],
    registers,
    collect() {
      const count = { waiting: 0, handed: 0, ended: 0, dead: 0 };
      for (const { phase } of state.runs.values()) count[phase] += 1;
      for (const [phase, value] of Object.entries(count)) this.set({ phase }, value);
    },
  });
  new Gauge({
    name: "hive_sentinel_known_keys",
    help: "Keys of forgotten runs that will not run again",
    registers,
    collect() {
      this.set(numbers.knownKeys());
    },
  });
  const accepted = new Counter({ name: "hive_sentinel_signals_total", help: "Signals that were accepted", registers });
  const tries = new Counter({
    name: "hive_sentinel_tries_total",
    help: "Tries to deliver a signal, by transport and outcome",
    labelNames: ["transport", "outcome"],
    registers,
  });
  const ends = new Counter({
    name: "hive_sentinel_ends_total",
    help: "Runs that came to their end, by which",
    labelNames: ["state"],
    registers,
  });
  const dead = new Counter({ name: "hive_sentinel_dead_letters_total", help: "Signals that were given up", registers });
  const handOver = new Histogram({
    name: "hive_sentinel_hand_over_seconds",
    help: "From a signal's acceptance until its runner answered for it, seconds",
    buckets: handOverSec,
    registers,
  });
  return {
    registry,
    tried: (transport, outcome) => tries.inc({ transport, outcome }),
    count(event, { lines, news }) {
      for (const line of lines) {
        if (line.kind === "run") accepted.inc();
        if (line.kind === "step" && line.step.end !== undefined) ends.inc({ state: line.step.end.state });
      }
      for (const { kind } of news) if (kind === "dead-letter") dead.inc();
      if (event.kind !== "delivered" || event.outcome.kind !== "taken") return;
      const run = state.runs.get(event.runId);
      if (run !== undefined) handOver.observe(Math.max(0, (numbers.wallMs() - run.acceptedMs) / 1000));
    },
  };
}
