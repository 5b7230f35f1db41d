/** What a runner says of itself to Prometheus. */
import { Gauge, type Registry } from "prom-client";
import { createRegistry } from "../shared/metrics.ts";
import type { RunnerState } from "./core/state.ts";

export interface RunnerNumbers {
  state(): RunnerState;
  sentinelKnows(): boolean;
  oomKills(): number;
  /** Answers to signals so far, by status. */
  readonly answers: ReadonlyMap<number, number>;
}

export function runnerMetrics(numbers: RunnerNumbers): Registry {
  const registry = createRegistry({ role: "runner" });
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
  gauge("hive_runner_queued", "Runs that wait", () => numbers.state().queue.size);
  gauge("hive_runner_running", "Whether a run is under way", () => Number(numbers.state().running !== undefined));
  gauge("hive_runner_outbox", "Results that the Sentinel has yet to take", () => numbers.state().outbox.size);
  gauge("hive_runner_known_runs", "Runs that are remembered", () => numbers.state().runs.size);
  gauge("hive_runner_oom_kills", "Processes of the agent that the kernel killed for memory", () => numbers.oomKills());
  gauge("hive_runner_sentinel_up", "Whether the Sentinel knows this runner", () => Number(numbers.sentinelKnows()));
  new Gauge({
    name: "hive_runner_signals",
    help: "Signals judged since the start, by the status of the answer",
    labelNames: ["status"],
    registers: [registry],
    collect() {
      for (const [status, count] of numbers.answers) this.set({ status: String(status) }, count);
    },
  });
  return registry;
}
