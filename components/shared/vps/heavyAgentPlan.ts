/** A heavy agent and its server, decided from plain values before anything of them is made. Pure. */
import { agentSecretFile, planAgent } from "../agent/agentPlan.ts";
import type { Release } from "../agent/installScripts.ts";
import type { RunnerConfigInput } from "../agent/runnerConfig.ts";
import { checkForm, checkWhole } from "../check.ts";
import type { HeavyAgentMode, HeavyAgentOverrides } from "./heavyAgent.ts";
import { renderHeavyAgentUnits, type UnitFile } from "./heavyAgentUnit.ts";
import type { AgentRuntime } from "./installAgent.ts";
import { signalUser, type SshDoor } from "./sshDoor.ts";
import { networksOf, planServer, serverPorts, type Opening, type ServerPlan, type ServerSpec } from "./serverPlan.ts";
import { parseAgentKind } from "./sizing.ts";
import type { Checked, Fault } from "../faults.ts";

/** Name of the secret with the registration key; a file of the runner's. */
export const registrationKeyName = "agent.key";

/** How the Sentinel comes to an agent's runner: HTTP over TLS to its port, or SSH alone, with no port but sshd's open. */
export type AgentTransport = "http" | "ssh";

/** Plain values of a heavy agent. */
export interface HeavyAgentSpec {
  /** Its name; a DNS label. */
  readonly name: string;
  /** Name of the Hive, as its Sentinel has it: its reaper deletes no other's servers. A DNS label. */
  readonly estate: string;
  /** One of the sizing grid, as a user writes it. */
  readonly kind: string;
  /** @default the floor of its kind */
  readonly size?: string | undefined;
  /** When it was asked for, in UTC: `2026-12-01T00:00:00Z`. */
  readonly created: string;
  /** When it was renewed last, in UTC. @default never */
  readonly renewed?: string | undefined;
  /** Its time to live, s: from when it was renewed, else from when it was asked for. */
  readonly ttlSec: number;
  readonly mode: HeavyAgentMode;
  /** @default "node" */
  readonly runtime?: AgentRuntime | undefined;
  /** Its limits and freedoms. @default the template's */
  readonly overrides?: Omit<HeavyAgentOverrides, "docker"> | undefined;
  /** Longest that a resident agent may take for one run, s. @default 3600 */
  readonly answerSec?: number | undefined;
  /** Address on the server that answers 2xx when the agent can work. @default the unit itself is looked at */
  readonly healthUrl?: string | undefined;
  readonly sentinel: {
    /** IPv4 address, and the port for runners. */
    readonly host: string;
    readonly port: number;
    /** Where its signals come from. @default host */
    readonly from?: readonly string[] | undefined;
    /** Public half of its SSH key, `ssh-ed25519 AAAA…`; needed with transport ssh. */
    readonly sshKey?: string | undefined;
  };
  /** @default "http" */
  readonly transport?: AgentTransport | undefined;
  /** Where the Sentinel reaches the runner, `host:port`. */
  readonly runnerAddress: string;
  /** Where the Sentinel reaches the server's sshd, `host:port`; needed with transport ssh. */
  readonly sshAddress?: string | undefined;
  /** Who may log in by SSH. */
  readonly adminCidrs: readonly string[];
  readonly release: Release;
  readonly healthSec: number;
  readonly sourcesSha256: string;
}

/** A heavy agent, decided. */
export interface HeavyAgentPlan {
  readonly server: ServerPlan;
  readonly openings: readonly Opening[];
  readonly life: {
    readonly agent: string;
    readonly estate: string;
    readonly created: string;
    readonly renewed?: string | undefined;
    readonly ttlSec: number;
  };
  readonly units: readonly UnitFile[];
  readonly runner: RunnerConfigInput;
  /** Addresses that the runner speaks with beside the Sentinel's own. */
  readonly allow: readonly string[];
  readonly resident: boolean;
  readonly runtime: AgentRuntime;
  /** Whom sshd lets in beside administrators; with transport ssh. */
  readonly door?: SshDoor | undefined;
}

/** The server's name at its provider, and the name of its stack. */
export function heavyAgentHostname(agent: string): string {
  return `agent-${agent}`;
}

const sshKeyForm = [
  /^ssh-ed25519 [A-Za-z0-9+/]{68}$/,
  "the public half of the Sentinel's SSH key, ssh-ed25519 AAAA…",
  "`hive agent new --transport ssh` writes it; the Sentinel tells it at GET /ssh-key.",
] as const;

function callersOf({ sentinel }: HeavyAgentSpec): readonly string[] {
  return sentinel.from ?? [sentinel.host];
}

function openingsOf(spec: HeavyAgentSpec): readonly Opening[] {
  const { adminCidrs } = spec;
  const callers = callersOf(spec);
  if (spec.transport === "ssh") {
    const comment = "administration, and signals of the Sentinel";
    return [{ port: serverPorts.ssh, from: [...adminCidrs, ...callers], comment }];
  }
  return [
    { port: serverPorts.ssh, from: adminCidrs, comment: "administration" },
    { port: serverPorts.runner, from: callers, comment: "signals of the Sentinel" },
  ];
}

/** Its callers are those of the firewall: sshd takes no network with an address in it (sshd(8), "from"). */
function doorOf(spec: HeavyAgentSpec): SshDoor | undefined {
  const { name, transport, sentinel } = spec;
  if (transport !== "ssh") return undefined;
  return { agent: name, key: sentinel.sshKey ?? "", from: networksOf(callersOf(spec)) };
}

function runnerOf(spec: HeavyAgentSpec): RunnerConfigInput {
  const { mode, sentinel } = spec;
  const host = sentinel.host.includes(":") ? `[${sentinel.host}]` : sentinel.host;
  return {
    version: 1,
    sentinel: { address: `${host}:${String(sentinel.port)}`, keyFile: agentSecretFile(registrationKeyName) },
    address: spec.runnerAddress,
    ...(spec.transport === "ssh"
      ? { listen: `127.0.0.1:${String(serverPorts.runner)}`, ssh: { address: spec.sshAddress ?? "", user: signalUser } }
      : {}),
    agent: {
      name: spec.name,
      mode: mode.mode ?? "job",
      ...(mode.idempotent === undefined ? {} : { idempotent: mode.idempotent }),
      ...(spec.answerSec === undefined ? {} : { answerSec: spec.answerSec }),
      ...(spec.healthUrl === undefined ? {} : { healthUrl: spec.healthUrl }),
    },
  };
}

/** Decides an agent. @returns its plan, or every fault of it, of its server and of its runner at once. */
export function planHeavyAgent(
  spec: HeavyAgentSpec,
  place: Pick<ServerSpec, "provider" | "offers" | "budget" | "nowMs">,
): Checked<HeavyAgentPlan> {
  const kind = parseAgentKind("kind", spec.kind);
  const renewed = spec.renewed === undefined ? {} : { renewed: spec.renewed };
  const life = { agent: spec.name, estate: spec.estate, created: spec.created, ...renewed, ttlSec: spec.ttlSec };
  const openings = openingsOf(spec);
  const runtime = spec.runtime ?? "node";
  const server = planServer({
    ...place,
    name: heavyAgentHostname(spec.name),
    // Without a kind nothing can be said of the size: what else is wrong is told for any.
    kind: kind.ok ? kind.value : "browser-light",
    size: kind.ok ? spec.size : undefined,
    life,
    openings,
  });
  const runner = runnerOf(spec);
  const { release, healthSec } = spec;
  const allow = (spec.sentinel.from ?? []).filter((each) => each !== spec.sentinel.host);
  const installed = planAgent({
    role: "runner",
    config: runner,
    release,
    secretNames: [registrationKeyName],
    allow,
    healthSec,
  });
  const measured = server.ok ? { vcpus: server.value.offer.vcpus, ramMiB: server.value.offer.ramMiB } : undefined;
  const units = renderHeavyAgentUnits({
    ...spec.mode,
    ...spec.overrides,
    docker: runtime === "docker",
    name: spec.name,
    // Without a server its limits are checked against the most that any has.
    server: measured ?? { vcpus: 64, ramMiB: 1024 ** 2 },
  });
  const faults: Fault[] = [
    ...(kind.ok ? [] : kind.faults),
    ...(server.ok ? [] : server.faults.filter(({ property }) => property !== "name" && property !== "agent")),
    ...(units.ok ? [] : units.faults),
    ...(installed.ok ? [] : installed.faults),
    ...(spec.transport === "ssh" ? checkForm("sentinel.sshKey", spec.sentinel.sshKey ?? "", ...sshKeyForm) : []),
    ...checkForm("sources.sha256", spec.sourcesSha256, /^[0-9a-f]{64}$/, "64 hexadecimal digits", "Pack them."),
    // `agent-` stands before it in the name of the server.
    ...checkWhole("name.length", spec.name.length, 1, 57, "characters", "Give a shorter name."),
  ];
  if (faults.length > 0 || !server.ok || !units.ok) return { ok: false, faults };
  const resident = spec.mode.mode === "resident";
  return {
    ok: true,
    value: {
      server: server.value,
      openings,
      life,
      units: units.value,
      runner,
      allow,
      resident,
      runtime,
      door: doorOf(spec),
    },
  };
}
