/** What the host side says of itself to Prometheus. */
import { Gauge, type Registry } from "prom-client";
import { createRegistry } from "../../shared/metrics.ts";
import { readHostLoad } from "./hostLoad.ts";

export interface HostNumbers {
  proxmoxUp(): boolean;
  arbiterHeard(): boolean;
  availableMiB(): number | undefined;
  roomC(): number | undefined;
}

/** A registry that reads when it is asked; the host's load, too, so that nobody pays for it who does not look. */
export function hostMetrics(numbers: HostNumbers): Registry {
  const registry = createRegistry({ side: "host" });
  const gauge = (name: string, help: string, read: () => number | undefined): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        const value = read();
        // Without a value there is no sample: 0 °C would be a lie, and reset() writes 0.
        if (value === undefined) this.remove();
        else this.set(value);
      },
    });
  };
  gauge("hive_host_proxmox_up", "Whether Proxmox answers", () => Number(numbers.proxmoxUp()));
  gauge("hive_host_arbiter_heard", "Whether the arbiter answers", () => Number(numbers.arbiterHeard()));
  gauge("hive_host_memory_available_bytes", "Memory that is available on the host, bytes", () => {
    const availableMiB = numbers.availableMiB();
    return availableMiB === undefined ? undefined : availableMiB * 1024 * 1024;
  });
  gauge("hive_host_room_celsius", "Heat of the room by host.room.sensor, °C", () => numbers.roomC());
  const disks = new Gauge({
    name: "hive_host_disk_used_percent",
    help: "Share of a file system that is in use, percent",
    labelNames: ["mount"],
    registers: [registry],
  });
  new Gauge({
    name: "hive_host_cpu_percent",
    help: "Load of all CPUs since the last look, percent",
    registers: [registry],
    async collect() {
      const load = await readHostLoad();
      if (load === undefined) return;
      this.set(load.cpuPercent);
      for (const { mount, usedPercent } of load.disks) disks.set({ mount }, usedPercent);
    },
  });
  return registry;
}
