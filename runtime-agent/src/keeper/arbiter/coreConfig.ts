import type { KeeperConfig } from "../../../../components/shared/agent/keeperConfig.ts";
import type { ArbiterConfig } from "./core/config.ts";
import { arbiterConfig } from "./core/config.ts";

export type ArbiterSection = NonNullable<KeeperConfig["arbiter"]>;

/** What the pure core is told, from the file. What the file does not hold keeps the core's own value. */
export function coreConfig(config: KeeperConfig, section: ArbiterSection): ArbiterConfig {
  const { muse, thermal, power, scan, link } = section;
  const usual = arbiterConfig({ services: [] });
  return arbiterConfig({
    services: section.services.map(({ name, rank, kind, vramMiB, forbiddenInMarket, rungs, leaseMs, start }) => ({
      name,
      rank,
      kind,
      vramMiB,
      forbiddenInMarket,
      rungs,
      startable: kind === "interactive" && start !== undefined,
      leaseMs: kind === "scan" ? scan.maxSec * 1000 : leaseMs,
      everyMs: kind === "scan" ? scan.everySec * 1000 : undefined,
    })),
    linked: link !== undefined,
    calendar: {
      timeZone: config.timeZone,
      market: config.market,
      muse: { fromMinute: muse.fromMinute, toMinute: muse.toMinute },
    },
    load: { startBelow: muse.loadBelow, pauseAbove: muse.loadAbove, holdMs: muse.holdSec * 1000 },
    thermal: { ...usual.thermal, ...thermal, staleMs: Math.max(usual.thermal.staleMs, staleMs(section)) },
    power: { idleMs: power.idleSec * 1000 },
  });
}

/** Age from which a sample of the card says nothing any more, ms: two were missed. */
export function staleMs(section: ArbiterSection): number {
  return section.gpu.sampleSec * 2000 + section.gpu.deadlineMs;
}
