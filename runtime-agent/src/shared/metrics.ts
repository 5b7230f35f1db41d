import { readFile } from "node:fs/promises";
import { Counter, Gauge, Registry } from "prom-client";
import type { Route } from "./localApi/index.ts";
import { version } from "./version.ts";

/** Resident memory of this process, bytes; 0 where /proc cannot be read. */
async function residentBytes(): Promise<number> {
  const status = await readFile("/proc/self/status", "latin1").catch(() => "");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

/**
 * A registry with what every role says of itself. Roles add their own metrics with `registers: [registry]`; names begin
 * with `hive_`. prom-client's default metrics are left out: their garbage collector and event loop observers cost more
 * than the agent's loop.
 */
export function createRegistry(labels: Readonly<Record<string, string>> = {}): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ ...labels });
  new Gauge({
    name: "hive_agent_info",
    help: "Version of the agent; always 1",
    labelNames: ["version", "node"],
    registers: [registry],
  }).set({ version, node: process.version }, 1);
  new Gauge({
    name: "hive_agent_resident_bytes",
    help: "Resident memory of the agent's main process, bytes",
    registers: [registry],
    async collect() {
      this.set(await residentBytes());
    },
  });
  new Counter({
    name: "hive_agent_cpu_seconds_total",
    help: "CPU time of the agent's main process, seconds",
    registers: [registry],
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  return registry;
}

/** `GET /metrics` in Prometheus' text format. */
export function metricsRoute(registry: Registry): Route {
  return {
    method: "GET",
    path: "/metrics",
    role: "admin",
    handle: async () => ({ text: await registry.metrics(), contentType: registry.contentType }),
  };
}
