import type { Registry } from "prom-client";
import { Counter, Gauge } from "prom-client";
import type { ArbiterStatusDocument } from "./statusDocument.ts";

/** What the arbiter counts itself; everything else is read from the status when somebody scrapes. */
export interface ArbiterMetrics {
  readonly decided: (what: string) => void;
}

/** Metrics of the arbiter in a registry. `status` is read once a scrape. */
export function arbiterMetrics(
  registry: Registry,
  status: () => ArbiterStatusDocument,
  grants: () => number,
): ArbiterMetrics {
  const registers = [registry];
  const gauge = (name: string, help: string, read: (now: ArbiterStatusDocument) => number | null): void => {
    new Gauge({
      name: `hive_keeper_${name}`,
      help,
      registers,
      collect() {
        const value = read(status());
        // Without a value there is no sample: 0 °C would be a lie, and reset() writes 0.
        if (value === null) this.remove();
        else this.set(value);
      },
    });
  };
  gauge("gpu_known", "Whether the driver answers; 0 also where there is no GPU", ({ gpu }) =>
    Number(gpu.kind === "known"),
  );
  gauge("gpu_temperature_celsius", "Temperature of the card", ({ gpu }) => gpu.temperatureC);
  gauge("gpu_power_watts", "Power that the card draws", ({ gpu }) => gpu.powerWatts);
  gauge("gpu_power_limit_watts", "Power limit in force", ({ gpu }) => gpu.powerLimitWatts);
  gauge("gpu_vram_used_bytes", "VRAM that is not free", ({ gpu }) =>
    gpu.vramUsedMiB === null ? null : gpu.vramUsedMiB * 1024 * 1024,
  );
  gauge("queue_length", "Requests that wait", ({ queue }) => queue.length);
  gauge("fencing_token", "The last fencing token given out", ({ token }) => token);
  gauge("market_open", "Whether the market counts as open", ({ marketOpen }) => Number(marketOpen));
  gauge("journal_writable", "Whether the journal can be written", ({ journalFault }) => Number(journalFault === null));
  gauge("loops_total", "Completed decision loops", ({ loops }) => loops);
  new Gauge({
    name: "hive_keeper_grants_total",
    help: "Grants handed out since the start",
    registers,
    collect() {
      this.set(grants());
    },
  });
  new Gauge({
    name: "hive_keeper_service_running",
    help: "Whether a service holds the GPU",
    labelNames: ["service", "rank"],
    registers,
    collect() {
      this.reset();
      for (const { name, rank, phase } of status().services)
        this.set({ service: name, rank }, Number(phase === "running"));
    },
  });
  const decisions = new Counter({
    name: "hive_keeper_decisions_total",
    help: "Decisions, by what was decided",
    labelNames: ["what"],
    registers,
  });
  return { decided: (what) => decisions.inc({ what }) };
}
