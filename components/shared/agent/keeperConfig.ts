/**
 * The Keeper's configuration, `/etc/hive-agent/keeper.yaml` (0600): one schema for the component that renders it, the
 * agent that reads it, and the JSON schema that editors check it by. Units are parsed once: what comes out carries them
 * in its names (`vramMiB`, `leaseMs`, `openMinute`).
 */
import * as z from "zod";
import { arbiterSection } from "./arbiterSection.ts";
import {
  ownFolder,
  calendarDay,
  list,
  oneOf,
  says,
  strict,
  timeOfDay,
  timeZone,
  whole,
  yesOrNo,
} from "./configParts.ts";
import { hostSection } from "./hostSection.ts";

/** Days as the calendar names them, Monday first. */
export const dayNames = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] as const;

/** Where it keeps things. Two sides on one machine need paths of their own. */
const paths = strict({
  state: ownFolder.default("/var/lib/hive-agent/keeper"),
  /** Holds the socket `api.sock` and the token `api.token`. */
  runtime: ownFolder.default("/run/hive-agent/keeper"),
  log: ownFolder.default("/var/log/hive-agent"),
});

const log = strict({
  level: oneOf(["debug", "info", "notice", "warning", "error"], "Write the least level to show.").default("info"),
});

const api = strict({
  /** A loopback TCP port beside the Unix socket. @default none */
  port: whole(1, 65_535, "Write a port, or leave it out.").optional(),
  maxConnections: whole(1, 10_000, "Write how many callers may be connected at once.").default(128),
});

/** Opening hours of the exchange (seed `000_…` §3: Monday to Friday, 8 to 23), in `timeZone`. */
const market = strict({
  open: timeOfDay.prefault("08:00"),
  close: timeOfDay.prefault("23:00"),
  days: list(oneOf(dayNames, "Write days in English, three letters."), 7, "days").default([
    "Mon",
    "Tue",
    "Wed",
    "Thu",
    "Fri",
  ]),
  /** Days on which the exchange stays closed. */
  holidays: list(calendarDay, 1000, "days").default([]),
}).transform(({ open, close, days, holidays }) => ({
  openMinute: open,
  closeMinute: close,
  /** 0 Sunday to 6 Saturday, as `Date` counts them. */
  days: days.map((day) => (dayNames.indexOf(day) + 1) % 7),
  holidays,
}));

export const keeperConfigSchema = strict({
  version: z.literal(1, { error: says("1", "Write version: 1.") }),
  side: oneOf(["arbiter", "host"], "arbiter runs where the GPU is, host where the VMs are."),
  paths: paths.prefault({}),
  log: log.prefault({}),
  api: api.prefault({}),
  metrics: strict({ enabled: yesOrNo.default(true) }).prefault({}),
  timeZone: timeZone.default("Europe/Paris"),
  market: market.prefault({}),
  arbiter: arbiterSection.optional(),
  host: hostSection.optional(),
});

/** The configuration with every default filled in and every unit parsed. */
export type KeeperConfig = z.output<typeof keeperConfigSchema>;
/** The configuration as a person writes it. */
export type KeeperConfigInput = z.input<typeof keeperConfigSchema>;
export type ArbiterConfig = NonNullable<KeeperConfig["arbiter"]>;
export type HostConfig = NonNullable<KeeperConfig["host"]>;
export type ServiceConfig = ArbiterConfig["services"][number];

/** JSON Schema (draft 2020-12) of the file, for editors and for `hive-agent schema`. */
export function keeperJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(keeperConfigSchema, { io: "input", unrepresentable: "any" });
  return { title: "hive-agent keeper configuration", ...schema };
}
