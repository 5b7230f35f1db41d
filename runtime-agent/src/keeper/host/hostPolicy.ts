/** The configuration of the host side as the pure core takes it. */
import type { HostConfig, KeeperConfig } from "../../../../components/shared/agent/keeperConfig.ts";
import type { CalendarConfig } from "../arbiter/core/config.ts";
import type { HostPolicy } from "./core/decide.ts";
import { defaultBalloonPolicy } from "./core/balloons.ts";
import { defaultHandoffPolicy } from "./core/handoffPlan.ts";

/** More than any guest has: a guest without a floor is not ballooned. */
const noFloor = Number.MAX_SAFE_INTEGER;
const idleMs = 300_000;
const shortMs = 30_000;
const reserveMiB = 2048;

export function hostPolicy(host: HostConfig): HostPolicy {
  const { handoff, memoryPressure } = host;
  const shutdownMs = handoff.stopTimeoutSec * 1000;
  return {
    guests: host.guests.map(({ balloonMinMiB, ...guest }) => ({ ...guest, balloonMinMiB: balloonMinMiB ?? noFloor })),
    balloons: {
      ...defaultBalloonPolicy,
      lowMiB: memoryPressure.availableBelowMiB,
      highMiB: memoryPressure.availableAboveMiB,
    },
    handoff: {
      ...defaultHandoffPolicy,
      enabled: handoff.enabled,
      mapping: handoff.mapping,
      shutdownMs,
      verifyMs: handoff.startTimeoutSec * 1000,
      cpuFallback: handoff.cpuFallback,
    },
    marketRoles: host.marketRoles,
    idleCpu: memoryPressure.idleCpuPercent / 100,
    idleMs,
    shortMs,
    shutdownMs,
    reserveMiB,
  };
}

/** The market's hours for the calendar; the Muse's night is the arbiter's business and plays no part here. */
export function hostCalendar({ timeZone, market }: KeeperConfig): CalendarConfig {
  return {
    timeZone,
    market: {
      openMinute: market.openMinute,
      closeMinute: market.closeMinute,
      days: market.days,
      holidays: market.holidays,
    },
    muse: { fromMinute: 23 * 60, toMinute: 7 * 60 },
  };
}
