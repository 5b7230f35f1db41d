/**
 * The configuration of the stacks `sentinel` and `agent-<name>`, keys without the namespace `hive:`. One schema each:
 * unknown keys are refused, and every fault is told at once. Secrets are keys of their own, checked for their form alone.
 */
import * as z from "zod";
import { configFaults } from "../agent/configFaults.ts";
import { hostPort, httpUrl, label, list, oneOf, says, strict, text, whole, yesOrNo } from "../agent/configParts.ts";
import { SecretText } from "../secretText.ts";
import { publicKeyOf } from "../sshKey.ts";
import { estateFaults, estateName } from "./estate.ts";
import {
  decoded,
  isRecord,
  isSecretKey,
  secretFaults,
  secretObjectFaults,
  type SecretName,
  type SecretObject,
} from "./stackSecrets.ts";
import type { Checked, Fault } from "../faults.ts";

const anyText = text(/\S/, "a text that is not empty", "Write it.");
const network = text(
  /^\d{1,3}(?:\.\d{1,3}){3}(?:\/\d{1,2})?$/,
  "an IPv4 address or network such as 203.0.113.0/24",
  "Write it in numbers.",
);
const networks = list(network, 50, "addresses and networks");
const address = text(/^\d{1,3}(?:\.\d{1,3}){3}$/, "an IPv4 address", "Write it in numbers.");
const sha256 = text(/^[0-9a-f]{64}$/, "64 hexadecimal digits", "Read it from the tarball's .sha256 file.");
const port = whole(1, 65_535, "Write a port.");
const cents = whole(0, 10_000_000, "Write whole US cents.");
const name = text(
  /^[A-Za-z0-9][\w.-]{0,99}$/,
  "a name of letters, digits, _, . and -",
  "Write the provider's own name.",
);

/** The release of the agent that is installed: `hive-agent-<version>-linux-x64.tar.gz`. */
const release = strict({
  /** Path on this machine, from the project's folder or from /. */
  tarball: anyText,
  sha256,
  version: text(/^\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.-]+)?$/, "a version such as 1.4.0", "Write what it reports."),
  /** Longest wait for a healthy agent, s. */
  healthSec: whole(5, 600, "Write seconds.").default(60),
});

const budget = strict({
  /** For all servers together, US cents a month. */
  centsPerMonth: cents,
  /** What is paid for beside the Hive's own servers. */
  committedCents: cents.default(0),
  /** The Hive's other servers; in an agent's settings, where the command line writes them anew with each `up`. */
  committed: list(strict({ what: anyText, centsPerMonth: cents }), 1000, "servers").default([]),
});

/** How this machine reaches the server, where that is not its own address. */
const connect = strict({
  host: anyText.optional(),
  port: port.default(22),
  /** The server's public key, checked when given: `ssh-ed25519 AAAA…`. */
  hostKey: text(/^[a-z0-9@.-]+ [A-Za-z0-9+/=]+$/, "a public key", "Read it with ssh-keyscan.").optional(),
});

const proxmox = strict({
  endpoint: httpUrl,
  /** Accept a certificate that nobody signed. */
  insecure: yesOrNo.default(false),
  nodeName: label.default("pve"),
  /** A container starts in seconds; a VM has a kernel of its own. */
  guest: oneOf(["container", "vm"], "Write which of them it is.").default("container"),
  /** 300 to 399 for a container, else 100 to 299. */
  vmId: whole(100, 399, "Choose a free id."),
  os: oneOf(["debian", "ubuntu"], "The agents need systemd.").default("debian"),
  storage: name,
  /** Container template, or disk image of a VM, as a volume: `local:vztmpl/debian-13.tar.zst`. */
  image: anyText,
  diskGiB: whole(2, 1024, "Write GiB.").default(8),
  bridge: name.default("vmbr2"),
  vlanId: whole(1, 4094, "Write the VLAN's id, or leave it out.").optional(),
  mtu: whole(576, 65_520, "Write bytes.").default(1500),
  mac: text(/^[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}$/, "six octets in hexadecimal", "Write it as 02:60:de:00:01:36."),
  /** The server's own address with its prefix length. */
  cidr: network,
  gateway: address.optional(),
  domain: text(/^[a-z0-9.-]{1,253}$/, "a DNS domain", "Write it in lower case.").default("hive.internal"),
  dnsServers: list(address, 8, "resolvers").default([]),
  /** Snippet that brings a VM its guest agent; needed with guest: vm. */
  vendorData: anyText.optional(),
  /** Pool that the guest is put in: the reaper's token sees no other. An empty text for none. */
  pool: z.union([name, z.literal("")], { error: says("a pool's name", "Write it.") }).optional(),
  /** Storage for a backup every night, or `none`; the Sentinel's only, which must say one of them. */
  backupStorage: name.optional(),
});

const lightsail = strict({
  /** Availability zone, such as `eu-west-3a`. */
  zone: text(/^[a-z]{2}(?:-[a-z]+)+-\d[a-z]$/, "an availability zone", "Write it as eu-west-3a."),
  blueprint: text(
    /^(?:debian|ubuntu)_[0-9_]{1,10}$/,
    "a blueprint of Debian or Ubuntu",
    "Write it as debian_12.",
  ).default("debian_12"),
});

/** What every server's stack has. */
const server = {
  /** Name of this Hive, on the tags of its throwaway servers; an agent has its Sentinel's. Never changed once chosen. */
  estate: estateName,
  release,
  budget,
  /** Who may log in by SSH: this machine among them. */
  adminCidrs: networks.min(1, { error: says("at least one network", "List where you administer it from.") }),
  connect: connect.prefault({}),
  proxmox: proxmox.optional(),
  lightsail: lightsail.optional(),
};

const limits = strict({
  memoryMaxMiB: z.number().optional(),
  memoryHighMiB: z.number().optional(),
  cpuQuotaPercentOfMachine: z.number().optional(),
  tasksMax: z.number().optional(),
  runtimeMaxSec: z.number().optional(),
});

const agent = strict({
  name: label,
  kind: anyText,
  size: anyText.optional(),
  mode: oneOf(["job", "resident"], "Write how it gets its work.").default("job"),
  idempotent: yesOrNo.optional(),
  /** How its signals come: to the runner's port, or through sshd alone. */
  transport: oneOf(["http", "ssh"], "Write how its signals come.").default("http"),
  /** When it was asked for, in UTC: `2026-12-01T00:00:00Z`. */
  created: anyText,
  /** When it was renewed last, in UTC. */
  renewed: anyText.optional(),
  /** Its time to live, s: from when it was renewed, else from when it was asked for. */
  ttlSec: z.number({ error: says("seconds", "Write a number.") }),
  /** Folder of its own sources on this machine, from the project's folder or from /. */
  sources: anyText,
  runtime: oneOf(["node", "docker"], "Write what it runs on.").default("node"),
  /** Program and arguments in place of the launcher `run`. */
  exec: list(z.string(), 64, "words").optional(),
  limits: limits.prefault({}),
  readWritePaths: list(z.string(), 50, "folders").optional(),
  browserSandbox: yesOrNo.default(false),
  /** Longest that a resident agent may take for one run, s. */
  answerSec: whole(1, 604_800, "Write seconds, up to a week.").optional(),
  /** Address on the server that answers 2xx when the agent can work. */
  healthUrl: httpUrl.optional(),
});

/** Whom the runner answers to. */
const sentinel = strict({
  host: address,
  port: port.default(8944),
  /** Where its signals come from, where that is not `host`. */
  from: networks.optional(),
  /** Public half of its SSH key; with transport ssh. */
  sshKey: anyText.optional(),
});

const agentSettings = strict({
  ...server,
  agent,
  sentinel,
  /** Where the Sentinel reaches the runner, where that is not the server's own address at port 8943. */
  runnerAddress: hostPort.optional(),
  /** Where the Sentinel reaches the server's sshd, where that is not its own address at port 22; with transport ssh. */
  sshAddress: hostPort.optional(),
  /** Id of its registration at the Sentinel: `hive agent destroy` takes that one back, and no later one. */
  registration: text(/^[0-9a-f]{32}$/, "32 hexadecimal digits", "Leave it as hive agent new wrote it.").optional(),
  /** Longest wait until the Sentinel knows the runner, s. */
  registerSec: whole(5, 600, "Write seconds.").default(60),
});

const sentinelSettings = strict({
  ...server,
  /** The Sentinel's own configuration, as `hive-agent schema` has it; without version and role. */
  config: z.record(z.string(), z.unknown()).prefault({}),
  /** Where runners call from. Everywhere is well: each needs its own key. */
  runnerCidrs: networks.default(["0.0.0.0/0"]),
  /** Further ports: a reverse proxy for webhooks. */
  openings: list(
    strict({ port, from: networks, comment: anyText, protocol: oneOf(["tcp", "udp"], "Write it.").default("tcp") }),
    20,
    "openings",
  ).default([]),
});

/** What follows from the secrets and is none. */
interface FromSecrets {
  /** Public half of `sshPrivateKey`, as a line of `authorized_keys`. */
  readonly publicKey: string;
  /** Names in `environment` or `secrets`. */
  readonly secretNames: readonly string[];
}

export type AgentStackSettings = z.output<typeof agentSettings> & FromSecrets;
export type SentinelStackSettings = z.output<typeof sentinelSettings> & FromSecrets;

/** Keys of stack `genesis` that have a default in Pulumi.yaml: Pulumi gives them to every stack of the project. */
const projectKeys: ReadonlySet<string> = new Set(["nodeName", "insecure", "workers", "agentTimeoutSec"]);

interface AnyServer {
  readonly proxmox?: unknown;
  readonly lightsail?: unknown;
}

function placeFaults({ proxmox: own, lightsail: aws }: AnyServer): Fault[] {
  if ((own === undefined) !== (aws === undefined)) return [];
  const value = own === undefined ? "neither" : "both";
  return [{ property: "proxmox", value, limit: "one of proxmox and lightsail", fix: "Write where the server is." }];
}

function parsed<T extends AnyServer>(
  schema: z.core.$ZodType<T>,
  raw: Readonly<Record<string, unknown>>,
  needed: readonly SecretName[],
  secretObject: SecretObject,
  further: (settings: T) => readonly Fault[] = () => [],
): Checked<T & FromSecrets> {
  const plain = Object.fromEntries(
    Object.entries(raw)
      .filter(([key]) => !isSecretKey(key) && !projectKeys.has(key))
      .map(([key, value]) => [key, value instanceof SecretText ? "a secret" : decoded(value)]),
  );
  const read = z.safeParse(schema, plain, { reportInput: true, jitless: true });
  const onProxmox = isRecord(plain["proxmox"]);
  const faults = [
    ...(read.success ? [...placeFaults(read.data), ...further(read.data)] : configFaults(read.error.issues)),
    ...secretFaults(raw, [...needed, ...(onProxmox ? (["apiToken"] as const) : [])]),
    ...secretObjectFaults(raw, secretObject),
  ].map((each) => ({ ...each, property: each.property === "(file)" ? "hive" : `hive:${each.property}` }));
  const key = raw["sshPrivateKey"];
  const publicKey = key instanceof SecretText ? publicKeyOf(key.reveal()) : undefined;
  if (faults.length > 0 || !read.success || publicKey === undefined) return { ok: false, faults };
  const texts = raw[secretObject];
  const named = texts instanceof SecretText ? decoded(texts.reveal()) : {};
  return { ok: true, value: { ...read.data, publicKey, secretNames: isRecord(named) ? Object.keys(named) : [] } };
}

/** Validates the configuration of a stack `agent-<name>`: values as Pulumi stores them, secrets as `SecretText`. */
export function parseAgentStackConfig(raw: Readonly<Record<string, unknown>>): Checked<AgentStackSettings> {
  return parsed(agentSettings, raw, ["sshPrivateKey", "registrationKey"], "environment");
}

/** The same for the stack `sentinel`. */
export function parseSentinelStackConfig(raw: Readonly<Record<string, unknown>>): Checked<SentinelStackSettings> {
  return parsed(sentinelSettings, raw, ["sshPrivateKey", "deadManUrl"], "secrets", ({ config, proxmox: own }) => {
    const limit = "a storage that takes backups, or none";
    const unsaid = own !== undefined && own.backupStorage === undefined;
    return [
      ...estateFaults(config),
      ...(unsaid ? [{ property: "proxmox.backupStorage", limit, fix: "Write one." }] : []),
    ];
  });
}
