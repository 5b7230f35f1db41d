/**
 * `watch:` of the Sentinel's configuration: what it watches and whom it tells, when it sends signals by itself, which
 * servers it may delete, and how much memory pressure counts (seed 004, "Monitoring, Webhooks, Watchdogs").
 */
import { Cron } from "croner";
import * as z from "zod";
import { throwawayPool } from "../vps/reaperRights.ts";
import {
  absolutePath,
  hostPort,
  httpUrl,
  label,
  list,
  oneOf,
  says,
  secretFile,
  strict,
  text,
  timeZone,
  whole,
  within,
} from "./configParts.ts";
import { proxmoxAccess } from "./proxmoxAccess.ts";

/** Host name or address, without a port. */
const host = text(
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45})$/,
  "a host name or an address",
  "Write it without port and brackets.",
);

/** What every watchdog that looks by itself has. */
const looking = {
  name: label,
  /** From one look to the next, s. */
  everySec: whole(5, 86_400, "Write seconds.").default(60),
  /** For one look, s. */
  deadlineSec: whole(1, 120, "Write seconds.").default(10),
  /** So many looks in a row must fail before it is down. */
  failures: whole(1, 100, "Write a number.").default(3),
  /** So many looks in a row must succeed before it is up again. */
  successes: whole(1, 100, "Write a number.").default(2),
  /** Channels that are told. @default all of them */
  tell: list(label, 32, "channels").optional(),
};

const watchdog = z.discriminatedUnion(
  "type",
  [
    strict({
      ...looking,
      type: z.literal("http"),
      url: httpUrl,
      /** Answers that are good. @default 200 to 299 */
      status: list(whole(100, 599, "Write HTTP status codes."), 32, "status codes").optional(),
      /** A text that the answer's first MiB must hold. */
      text: z
        .string({ error: says("a text", "Write it in quotes.") })
        .min(1, { error: says("a text that is not empty", "Leave the key out to accept every text.") })
        .max(1000, { error: says("at most 1000 characters", "Write a part of it.") })
        .optional(),
      /** PEM of the authority to believe. @default Node's own list */
      caFile: absolutePath.optional(),
    }),
    strict({ ...looking, type: z.literal("tcp"), address: hostPort }),
    strict({ ...looking, type: z.literal("ping"), host }),
    strict({
      ...looking,
      type: z.literal("tls"),
      address: hostPort,
      /** The certificate must be for this name. @default the address' host */
      serverName: host.optional(),
      /** It must stay valid for more than so many days. */
      days: whole(1, 365, "Write days.").default(14),
      caFile: absolutePath.optional(),
      everySec: looking.everySec.default(3600),
    }),
    strict({
      type: z.literal("heartbeat"),
      name: label,
      /** Somebody must call within so long, s (`POST /watchdogs/NAME/beat` on the local API). */
      periodSec: whole(5, 31 * 86_400, "Write seconds.").default(3600),
      /** Holds the token with which other machines call, `POST /beats/NAME` at `hooks.listen`. @default none may */
      tokenFile: secretFile.optional(),
      tell: looking.tell,
    }),
  ],
  { error: says("http, tcp, ping, tls or heartbeat", "Write what is looked at.") },
);

const channel = z.discriminatedUnion(
  "type",
  [
    strict({
      type: z.literal("webhook"),
      name: label,
      url: httpUrl,
      /** Holds the signing secret, `whsec_…` (standard-webhooks.md 1.0). */
      secretFile,
    }),
    strict({
      type: z.literal("ntfy"),
      name: label,
      url: httpUrl.default("https://ntfy.sh"),
      /** Holds the topic: who knows it reads the alerts (docs.ntfy.sh/publish). */
      topicFile: secretFile,
      /** Holds an access token, `tk_…`. @default none is sent */
      tokenFile: secretFile.optional(),
    }),
  ],
  { error: says("webhook or ntfy", "Write how people are told.") },
);

const alerts = strict({
  /** While it stays down it is told again after so long, s; 0 tells once. */
  reminderSec: whole(0, 31 * 86_400, "Write seconds.").default(4 * 3600),
  /** Messages to one channel in any hour; what comes on top waits and goes as one. */
  mostPerHour: whole(1, 1000, "Write a number.").default(20),
  /** After so long a message that nobody takes is given up, s. */
  giveUpSec: whole(60, 7 * 86_400, "Write seconds.").default(86_400),
});

function isCron(pattern: string): boolean {
  try {
    return new Cron(pattern, { mode: "5-part", paused: true }).nextRun() !== null;
  } catch {
    return false;
  }
}

/** Five fields: minute, hour, day of the month, month, day of the week. */
const cron = z
  .string({ error: says("a cron expression", "Write it in quotes.") })
  .max(200, { error: says("at most 200 characters", "Split it into several schedules."), abort: true })
  .refine(isCron, {
    error: says("five fields: minute hour day month weekday, of a time that comes", 'Write it as "30 2 * * 1-5".'),
  });

const schedule = strict({
  name: label,
  /** Who gets the signal. */
  agent: label,
  cron,
  /** @default UTC */
  timeZone: timeZone.default("UTC"),
  /** Handed to the agent as JSON. */
  payload: z.json().default(null),
  /** What to do when the Sentinel comes back after an instant that it missed: only say so, or run once for all of them. */
  ifMissed: oneOf(["report", "run-once"], "Write what is to happen.").default("report"),
});

/** By a token that may see and delete what is in one pool. */
const proxmox = strict({
  ...proxmoxAccess,
  pool: text(/^[A-Za-z0-9][\w.-]{0,63}$/, "the name of a pool", "Write its name.").default(throwawayPool),
});

const lightsail = strict({
  region: text(/^[a-z]{2}(?:-[a-z]+)+-\d$/, "a region of AWS", "Write it as eu-west-3."),
  /** In the form of AWS's shared credentials file (`~/.aws/credentials`), of the user that may only delete. */
  credentialsFile: secretFile,
  profile: text(/^[\w.@-]{1,64}$/, "the name of a profile", "Write it without brackets.").default("default"),
  /** Another address that speaks Lightsail's API. @default https://lightsail.REGION.amazonaws.com */
  endpoint: httpUrl.optional(),
});

const reaper = strict({
  /** Name of this Hive: only servers whose tags say it are deleted. Needed with a provider; never to be changed. */
  estate: label.optional(),
  /** From one look at the providers to the next, s. */
  everySec: whole(10, 3600, "Write seconds.").default(120),
  /** A server that no agent of the registry answers for may outlive the end in its tags by so long, s. */
  graceSec: whole(0, 86_400, "Write seconds.").default(600),
  /** It is deleted only when a second look, at least so much later, says the same, s. */
  pauseSec: whole(0, 86_400, "Write seconds.").default(300),
  /** The brake: so many servers in any hour, whatever the reason. */
  mostPerHour: whole(1, 1000, "Write a number.").default(5),
  /** Servers that are never deleted, by their name at the provider or their number. */
  never: list(
    text(/^[\w.-]{1,255}$/, "a server's name or number", "Write it as the provider does."),
    100,
    "servers",
  ).default([]),
  proxmox: proxmox.optional(),
  lightsail: lightsail.optional(),
});

const oom = strict({
  /** From here on memory pressure counts, percent of the last minute (PSI `some avg60`). */
  pressurePercent: within(1, 100, "Write percent.").default(40),
  /** It must last for so long to count as one lack of memory, s. */
  pressureSec: whole(60, 86_400, "Write seconds.").default(600),
});

export const sentinelWatchSection = strict({
  watchdogs: list(watchdog, 500, "watchdogs").default([]),
  channels: list(channel, 32, "channels").default([]),
  alerts: alerts.prefault({}),
  schedules: list(schedule, 500, "schedules").default([]),
  reaper: reaper.prefault({}),
  oom: oom.prefault({}),
});

export type SentinelWatchConfig = z.output<typeof sentinelWatchSection>;
export type WatchdogConfig = SentinelWatchConfig["watchdogs"][number];
export type ChannelConfig = SentinelWatchConfig["channels"][number];
export type ScheduleConfig = SentinelWatchConfig["schedules"][number];
export type ReaperConfig = SentinelWatchConfig["reaper"];
