/**
 * The units of the agent on the servers of seed 004: the Sentinel on its XS, the runner on each throwaway server. Pure.
 *
 * Exposure by `systemd-analyze security --offline` (systemd 252; test/unit/throwawayUnits.test.ts holds it there): runner
 * 1.9, Sentinel 1.9. Neither is another user: their secrets are root's files, and the runner asks systemd to start units.
 */
import { heavyAgentPaths } from "../vps/heavyAgent.ts";
import { heavyAgentUnitName } from "../vps/heavyAgentUnit.ts";
import { onlyAddresses, refusedCalls, renderUnit } from "./agentUnit.ts";

/** Where the runner puts payloads and run ids of all its agents, and nothing of its own. */
export const runFolder = heavyAgentPaths.run.replace(/\/%i\/.*$/, "");

const systemCalls = ["SystemCallFilter=@system-service", `SystemCallFilter=~${refusedCalls}`];
const shared = {
  after: [],
  runtimeWhy: "Who has logged in may reach the sockets: what they may do there is decided by token and signature.",
  logs: false,
  realtime: false,
  systemCalls,
} as const;
/** They change no cgroup; what other users run is none of their business; no device is theirs. */
const apart = ["PrivateDevices=yes", "DevicePolicy=closed", "ProtectControlGroups=yes", "ProtectProc=invisible"];

/** The runner: it speaks with its Sentinel alone, and lets systemd start the agent. */
export function renderRunnerUnit(unit: {
  /** The agent that it starts. */
  readonly agent: string;
  readonly network: readonly string[];
}): string {
  return renderUnit({
    ...shared,
    role: "runner",
    description: "Hive runner",
    before: [heavyAgentUnitName(unit.agent)],
    command: "runner",
    stop: { why: "What it has promised is in its journal: it needs no longer.", sec: 10 },
    memoryMax: "192M",
    tasksMax: 64,
    // The agent's results and its socket are in that user's own 0700 folders.
    capabilities: ["CAP_DAC_OVERRIDE"],
    extra: [...apart, `ReadWritePaths=-${runFolder}`],
    network: onlyAddresses(unit.network),
  });
}

/**
 * The Sentinel: what it watches, tells and signals is anywhere, so that only the cloud's metadata address is refused to
 * it. It may ping (CAP_NET_RAW), and nothing else that root may.
 */
export function renderSentinelUnit(): string {
  return renderUnit({
    ...shared,
    role: "sentinel",
    description: "Hive Sentinel",
    command: "sentinel",
    stop: { why: "What it has promised is in its journal: it needs no longer.", sec: 10 },
    // Of the 1 GB of an XS, beside its system.
    memoryMax: "384M",
    tasksMax: 128,
    capabilities: ["CAP_NET_RAW"],
    extra: apart,
    network: ["IPAddressDeny=169.254.169.254/32 fd00:ec2::254/128"],
  });
}
