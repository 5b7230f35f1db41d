import { version } from "../../shared/version.ts";
import type { GpuReading } from "../gpu/types.ts";
import { healthOf } from "../../shared/health.ts";
import type { ArbiterConfig } from "./core/config.ts";
import { calendarOf } from "./core/calendar.ts";
import type { ArbiterState } from "./core/state.ts";
import type { Constraint } from "./core/types.ts";
import type { ArbiterStatusDocument, NumberedDecision, ServiceStatus } from "./statusDocument.ts";

export interface StatusInput {
  readonly state: ArbiterState;
  readonly config: ArbiterConfig;
  readonly reading: GpuReading;
  readonly constraint: Constraint | undefined;
  readonly link: ArbiterStatusDocument["link"];
  readonly wallMs: number;
  readonly monotonicMs: number;
  readonly startedAtMs: number;
  readonly loops: number;
  /** Since the last completed turn, ms; undefined before the first. */
  readonly loopAgeMs: number | undefined;
  readonly load1: number | undefined;
  readonly fault: string | undefined;
  readonly kernelOf: (service: string) => ServiceStatus["kernel"];
  readonly decisions: readonly NumberedDecision[];
}

const decisionsShown = 20;

/** The status document. Pure. */
export function statusOf(input: StatusInput): ArbiterStatusDocument {
  const { state, config, reading, monotonicMs, wallMs } = input;
  const calendar = calendarOf(config);
  const constraint = input.constraint;
  const inForce = constraint !== undefined && constraint.untilMonotonicMs > monotonicMs ? constraint : undefined;
  const strict = config.linked && (inForce?.marketOpen ?? true);
  return {
    version: 1,
    side: "arbiter",
    ...healthOf(input.loopAgeMs, [
      input.fault === undefined ? undefined : `the journal cannot be written: ${input.fault}`,
    ]),
    release: version,
    pid: process.pid,
    now: new Date(wallMs).toISOString(),
    startedAt: new Date(input.startedAtMs).toISOString(),
    loops: input.loops,
    holder: holderOf(input),
    token: state.token,
    queue: state.queue.map(({ lease, service, sinceMs }) => ({
      lease,
      service,
      rank: config.services.find(({ name }) => name === service)?.rank ?? null,
      waitingMs: Math.max(0, Math.round(monotonicMs - sinceMs)),
    })),
    services: config.services.map(({ name, rank, kind, vramMiB }) => {
      const hold = Object.hasOwn(state.holds, name) ? state.holds[name] : undefined;
      return {
        ...{ name, rank, kind, vramMiB },
        phase: hold?.phase ?? "idle",
        kernel: input.kernelOf(name),
        lowered: hold?.undo ?? [],
        why: hold?.why ?? null,
        token: hold?.token ?? null,
        lease: hold?.lease ?? null,
      };
    }),
    gpu: gpuOf(reading),
    power: state.power.mode,
    thermal: { capped: state.thermal.capped, paused: state.thermal.paused },
    load1: input.load1 ?? null,
    marketOpen: calendar.marketOpenAt(wallMs) || strict,
    museNight: calendar.museWindowAt(wallMs).inside,
    constraint:
      inForce === undefined
        ? null
        : {
            marketOpen: inForce.marketOpen,
            handoff: inForce.handoff,
            roomC: inForce.roomC ?? null,
            remainingMs: Math.round(inForce.untilMonotonicMs - monotonicMs),
          },
    link: input.link,
    journalFault: input.fault ?? null,
    decisions: input.decisions.slice(-decisionsShown),
  };
}

function holderOf({ state, config, monotonicMs }: StatusInput): ArbiterStatusDocument["holder"] {
  for (const [service, hold] of Object.entries(state.holds)) {
    const rank = config.services.find(({ name }) => name === service)?.rank;
    if (hold.phase !== "running" || rank === undefined) continue;
    const remainingMs = hold.untilMs === null ? null : Math.max(0, Math.round(hold.untilMs - monotonicMs));
    return { service, rank, token: hold.token, lease: hold.lease, remainingMs };
  }
  return null;
}

function gpuOf(reading: GpuReading): ArbiterStatusDocument["gpu"] {
  const known = reading.kind === "known" ? reading : undefined;
  return {
    kind: reading.kind,
    reason: reading.kind === "known" ? null : reading.reason,
    name: known?.name ?? null,
    vramTotalMiB: known?.vramTotalMiB ?? null,
    vramUsedMiB: known?.vramUsedMiB ?? null,
    temperatureC: known?.temperatureC ?? null,
    powerWatts: known?.powerWatts ?? null,
    powerLimitWatts: known?.powerLimitWatts ?? null,
    graphicsClockMHz: known?.graphicsClockMHz ?? null,
    utilizationPercent: known?.utilizationPercent ?? null,
  };
}
