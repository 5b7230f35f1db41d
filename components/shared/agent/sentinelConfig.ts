/**
 * The Sentinel's configuration, `/etc/hive-agent/sentinel.yaml` (0600).
 *
 * There is no key for a program, a script or a command, and there will be none: the Sentinel never runs an agent's code
 * (seed 004: "Le Sentinel ne lance plus le code de l'agent"). It sends signals; the agent's own server runs them.
 */
import * as z from "zod";
import type { Checked, Fault } from "../faults.ts";
import { parseIpv4 } from "../ipv4.ts";
import { configFaults } from "./configFaults.ts";
import { hostPort, label, list, oneOf, ownFolder, says, secretFile, strict, whole, yesOrNo } from "./configParts.ts";
import { parseYaml } from "./parseYaml.ts";
import { sentinelWatchFaults } from "./sentinelWatchFaults.ts";
import { sentinelWatchSection } from "./sentinelWatchConfig.ts";

const paths = strict({
  state: ownFolder.default("/var/lib/hive-agent/sentinel"),
  /** Holds the socket `api.sock` and the token `api.token`. */
  runtime: ownFolder.default("/run/hive-agent/sentinel"),
});

/** What no router of the Internet forwards to: loopback, RFC 1918, and RFC 6598 as meshes use it. */
const inside: readonly (readonly [base: string, bits: number])[] = [
  ["127.0.0.0", 8],
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["100.64.0.0", 10],
];

/** Whether an address is a loopback's, a private network's or a mesh's. */
function isInside(host: string): boolean {
  if (host === "::1" || /^f[cd][0-9a-f]{2}:/i.test(host)) return true;
  const address = parseIpv4(host);
  if (address === undefined) return false;
  return inside.some(([base, bits]) => {
    const size = 2 ** (32 - bits);
    return Math.floor(address / size) === Math.floor((parseIpv4(base) ?? 0) / size);
  });
}

const insideAddress = hostPort.refine(({ host }) => isInside(host), {
  error: says(
    "an address of the loopback, a private network or a mesh",
    "Write one such as 127.0.0.1:8945, and let a reverse proxy with TLS stand before it.",
  ),
});

/** A webhook that asks for a run: Standard Webhooks, `POST /hooks/<name>`; its name and `webhook-id` are the run's key. */
const hook = strict({
  name: label,
  agent: label,
  /** Holds `whsec_…`, and for a change of secret a second one on the next line. */
  secretFile,
});

const hooks = strict({
  listen: insideAddress,
  list: list(hook, 200, "webhooks").default([]),
});

/** Runners call here; the key of each agent is the only way in. */
const runners = strict({
  listen: hostPort.prefault("0.0.0.0:8944"),
  /** Connections held at a time. */
  maxConnections: whole(8, 10_000, "Write how many runners may be connected at once.").default(256),
});

const leases = strict({
  /** How often a runner is to be heard, s. */
  heartbeatSec: whole(1, 600, "Write seconds.").default(20),
  /** For so long the Sentinel believes that a runner lives, s. */
  validSec: whole(3, 3600, "Write seconds, a few heartbeats.").default(75),
  /** A server that never registered within this time is the reaper's (min). */
  registerWithinMin: whole(1, 24 * 60, "Write minutes.").default(30),
  /** From the end of its time to live until the reaper has it, so that it may still be renewed (min). */
  graceMin: whole(0, 24 * 60, "Write minutes.").default(10),
});

const delivery = strict({
  /** For a whole exchange with a runner, connecting included, s. */
  deadlineSec: whole(1, 120, "Write seconds.").default(10),
  /** Waits between tries are drawn between 0 and a bound that doubles from `firstSec` to `mostSec` ("full jitter"). */
  firstSec: whole(1, 3600, "Write seconds.").default(1),
  mostSec: whole(1, 3600, "Write seconds.").default(60),
  /** After so many tries a signal is a dead letter. */
  attempts: whole(1, 1000, "Write how often.").default(20),
  /** A run with no news for this long is asked for, s. */
  askAfterSec: whole(1, 86_400, "Write seconds.").default(120),
  /** Signals that may wait, of all agents together. */
  mostWaiting: whole(1, 10_000, "Write how many.").default(5000),
  /** Payloads that may wait, MiB together. */
  mostWaitingMiB: whole(1, 10_240, "Write MiB.").default(256),
});

/** What is remembered of runs that are at their end. */
const history = strict({
  /** Reports kept, of all agents together: those of the newest ends. */
  runs: whole(1, 10_000, "Write how many.").default(500),
  hours: whole(1, 24 * 365, "Write hours.").default(24 * 7),
  /** For so long a key is known after its run's end, days: it never runs again. */
  keyDays: whole(1, 3650, "Write days.").default(30),
  /** Keys known at a time; above it signals are refused (about 100 bytes of memory each). */
  mostKeys: whole(1000, 5_000_000, "Write how many.").default(500_000),
});

/** The second transport: signals over SSH. */
const ssh = strict({
  /** Another private key in OpenSSH's form, without a passphrase, than the one that is made at the first start. */
  keyFile: secretFile,
});

const sentinelConfigSchema = strict({
  version: z.literal(1, { error: says("1", "Write version: 1.") }),
  /** Says whose file it is. */
  role: z.literal("sentinel", { error: says("sentinel", "Write role: sentinel.") }).default("sentinel"),
  paths: paths.prefault({}),
  log: strict({
    level: oneOf(["debug", "info", "notice", "warning", "error"], "Write the least level to show.").default("info"),
  }).prefault({}),
  api: strict({
    maxConnections: whole(1, 10_000, "Write how many callers may be connected at once.").default(128),
  }).prefault({}),
  metrics: strict({ enabled: yesOrNo.default(true) }).prefault({}),
  runners: runners.prefault({}),
  leases: leases.prefault({}),
  delivery: delivery.prefault({}),
  history: history.prefault({}),
  hooks: hooks.optional(),
  ssh: ssh.optional(),
  /** Watchdogs, alerts, schedules, the reaper. */
  watch: sentinelWatchSection.prefault({}),
});

/** The configuration with every default filled in. */
export type SentinelConfig = z.output<typeof sentinelConfigSchema>;
/** The configuration as a person writes it. */
export type SentinelConfigInput = z.input<typeof sentinelConfigSchema>;

/** Rules between properties. */
function betweenFaults({
  leases: { heartbeatSec, validSec },
  delivery: { firstSec, mostSec },
  hooks: given,
  watch,
}: SentinelConfig): Fault[] {
  const faults: Fault[] = [];
  for (const [index, one] of watch.watchdogs.entries())
    if (given === undefined && one.type === "heartbeat" && one.tokenFile !== undefined) {
      const fix = "Write hooks: {listen: 127.0.0.1:8945}, and let a reverse proxy with TLS stand before it.";
      faults.push({ property: `watch.watchdogs[${String(index)}].tokenFile`, limit: "with hooks.listen alone", fix });
    }
  if (validSec < 2 * heartbeatSec) {
    const limit = `at least twice leases.heartbeatSec, ${String(2 * heartbeatSec)}`;
    faults.push({ property: "leases.validSec", value: String(validSec), limit, fix: "One lost heartbeat is no end." });
  }
  if (mostSec < firstSec) {
    const limit = `at least delivery.firstSec, ${String(firstSec)}`;
    faults.push({ property: "delivery.mostSec", value: String(mostSec), limit, fix: "Raise it." });
  }
  const names = new Set<string>();
  for (const [index, { name }] of (given?.list ?? []).entries()) {
    const property = `hooks.list[${String(index)}].name`;
    if (names.has(name)) faults.push({ property, value: name, limit: "a name of its own", fix: "Rename one." });
    names.add(name);
  }
  return faults;
}

function watchOf(raw: unknown): unknown {
  return typeof raw === "object" && raw !== null ? Reflect.get(raw, "watch") : undefined;
}

/** Checks a configuration that has been read already (from YAML, or from a program). Never throws. */
export function checkSentinelConfig(raw: unknown): Checked<SentinelConfig> {
  const parsed = sentinelConfigSchema.safeParse(raw, { reportInput: true, jitless: true });
  const own = parsed.success ? betweenFaults(parsed.data) : configFaults(parsed.error.issues);
  const faults = [...own, ...sentinelWatchFaults(watchOf(raw))];
  if (parsed.success && faults.length === 0) return { ok: true, value: parsed.data };
  return { ok: false, faults };
}

/** Reads `sentinel.yaml`: every fault at once, no value that may be a secret among them. Never throws. */
export function parseSentinelConfig(text: string): Checked<SentinelConfig> {
  const read = parseYaml(text);
  return read.ok ? checkSentinelConfig(read.value) : read;
}

/** JSON Schema (draft 2020-12) of the file, for editors and for `hive-agent schema --role sentinel`. */
export function sentinelJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(sentinelConfigSchema, { io: "input", unrepresentable: "any" });
  const description =
    "The Sentinel never runs an agent's code: there is no key for a program, a script or a command. It sends signals; " +
    "the agent's own server runs them.";
  return { title: "hive-agent sentinel configuration", description, ...schema };
}
