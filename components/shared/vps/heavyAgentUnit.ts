/**
 * The systemd units of heavy agents. Pure: the template that all agents share and that ships as
 * `templates/heavy-agent@.service`, the slice that holds them together, and one drop-in for each agent.
 *
 * Exposure by `systemd-analyze security --offline` (systemd 252; test/unit/vpsUnit.test.ts holds it there): 1.1, with a
 * browser's own sandbox 1.8.
 */
import {
  checkHeavyAgentUnit,
  cpuPercent,
  heavyAgentPaths,
  memoryPercent,
  tasksMax,
  type HeavyAgentUnit,
} from "./heavyAgent.ts";
import { execWord } from "./unitText.ts";
import type { Checked } from "../faults.ts";

/** One file below /etc/systemd/system. */
export interface UnitFile {
  /** Path below that folder, for example `heavy-agent.slice`. */
  readonly path: string;
  readonly text: string;
}

/** Name of an agent's unit. */
export function heavyAgentUnitName(name: string): string {
  return `heavy-agent@${name}.service`;
}

/** Account that agents run as; whoever prepares the server creates it, without a password and without groups. */
export const heavyAgentUser = "antigravity";

/**
 * When a crash loop ends. systemd counts starts from the first of a window and refuses the sixth within it: a loop of
 * runs of up to five and a half minutes each, with the pause of {@link restartSec} after each, ends there. The defaults
 * (5 in 10 s) would never do so.
 */
const startLimit = { intervalSec: 1800, burst: 5 } as const;
/** The seed's pause before a restart, s. */
const restartSec = 30;
/** How long an agent that is asked to end may take before it is killed, s. */
const stopSec = 30;

/** CPUQuota= is a share of ONE CPU: a share of the whole server is that many times its CPUs. */
function quotaOf(percentOfMachine: number, vcpus: number): string {
  return `CPUQuota=${String(percentOfMachine * vcpus)}%`;
}

/**
 * The template, with the limits of an agent that has no drop-in. It does not know the server's CPUs, so its `CPUQuota`
 * is the seed's 90 % of one CPU, which is within 90 % of any server; the drop-in says what is 90 % of this one.
 *
 * Job agents are started with it, never enabled, and each run is one start: starts by hand count for the start limit
 * too, so whoever starts a run first clears the count (`systemctl reset-failed`).
 *
 * Directives that are not there, and why:
 * - `MemoryHigh`: the seed wants the agent killed at its limit, not slowed down before it.
 * - `MemoryDenyWriteExecute`: V8, in Node and in browsers, compiles at run time.
 * - `PrivateNetwork`, `IPAddressDeny=any`: agents browse the web. Only the cloud's metadata address is refused, where a
 *   server's own credentials are to be had (on a kernel without cgroup BPF systemd warns, and it is not).
 * - `AF_NETLINK` stays: Node's os.networkInterfaces() and Chromium list addresses by it; without CAP_NET_ADMIN it
 *   changes nothing.
 * - `ProcSubset=pid`: Node and browsers read /proc/meminfo, /proc/stat and /proc/cpuinfo.
 * - `RootDirectory`, `RootImage`: the runtime and the browser are the server's own.
 * - `DynamicUser`: the seed names the user.
 * - `Delegate`: nothing in an agent divides its cgroup. A Docker daemon would run its containers outside of it.
 */
export function renderHeavyAgentTemplate(): string {
  const paths = heavyAgentPaths;
  return `# A heavy agent on its own, throwaway server: heavy-agent@NAME.
# Change nothing here: "systemctl edit heavy-agent@NAME" makes a drop-in for one agent.
[Unit]
Description=Heavy agent %i
Wants=network-online.target
After=network-online.target
# The sixth start within half an hour is refused: a crash loop ends, although RestartSec is long.
StartLimitIntervalSec=${String(startLimit.intervalSec)}
StartLimitBurst=${String(startLimit.burst)}

[Service]
Type=exec
User=${heavyAgentUser}
Group=${heavyAgentUser}
# %i and never %I: the latter makes a slash of each hyphen in the name.
WorkingDirectory=${paths.sources}
ExecStart=${paths.sources}/run
Environment=HOME=${paths.state}
EnvironmentFile=-${paths.environment}
StateDirectory=heavy-agent/%i
StateDirectoryMode=0700
RuntimeDirectory=heavy-agent/%i
RuntimeDirectoryMode=0700
UMask=0077
Restart=on-failure
RestartSec=${String(restartSec)}s
TimeoutStopSec=${String(stopSec)}

# The agent is killed before its server is. Of the whole memory; the slice holds all agents together to the same.
Slice=heavy-agent.slice
MemoryMax=${String(memoryPercent)}%
MemorySwapMax=0
# Of one CPU, whatever the server has: a share of all of them is set by a drop-in.
CPUQuota=${String(cpuPercent)}%
TasksMax=${String(tasksMax)}
# A killed child (one page of a browser) is logged, and the agent goes on; "stop", the default, and "kill" would end it
# with every page. If the agent's own process is the one killed, Restart= sees to it.
OOMPolicy=continue
# When the server itself runs short, this goes first, and sshd stays.
OOMScoreAdjust=500
LimitCORE=0

NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
PrivateTmp=yes
PrivateMounts=yes
PrivateIPC=yes
PrivateUsers=yes
PrivateDevices=yes
DevicePolicy=closed
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
KeyringMode=private
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
IPAddressDeny=169.254.169.254/32 fd00:ec2::254/128
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@clock @cpu-emulation @debug @module @mount @obsolete @privileged @raw-io @reboot @resources @swap

[Install]
WantedBy=multi-user.target
`;
}

/**
 * The slice of all agents of a server: limits of a template hold for each instance, so two of them would have twice as
 * much. Without the number of CPUs, as shipped, it limits memory alone.
 */
export function renderHeavyAgentSlice(vcpus?: number): string {
  return `# All heavy agents of this server together: what they leave is the system's and SSH's.
[Unit]
Description=Heavy agents

[Slice]
MemoryMax=${String(memoryPercent)}%
MemorySwapMax=0
${vcpus === undefined ? "" : `${quotaOf(cpuPercent, vcpus)}\n`}`;
}

/** A list directive that takes the place of the template's: an empty assignment drops what was there. */
function replaced(key: string, ...values: readonly string[]): string[] {
  return ["", ...values].map((value) => `${key}=${value}`);
}

/**
 * What a Chromium needs to build its sandbox (layer 1, "namespace sandbox": user, PID and network namespaces, chroot
 * into an empty folder, capset to drop what it got in its own namespace). Without it only `--no-sandbox` works.
 */
const browserSandbox: readonly string[] = [
  ...replaced("RestrictNamespaces", "user pid net"),
  "SystemCallFilter=capset chroot",
];

/**
 * The window of the start limit for a job that may run so long each time: all starts that the limit allows, each with its
 * stop and its pause, are within it, or one that always runs out of time would be started again for ever.
 */
function startWindowSec(runtimeMaxSec: number): number {
  return Math.max(startLimit.intervalSec, (startLimit.burst + 1) * (runtimeMaxSec + stopSec + restartSec));
}

/** A job does not start without a run, so enabling its unit, or a reboot, never runs it. */
function modeUnit(agent: HeavyAgentUnit): string[] {
  if (agent.mode === "resident") return [];
  const { idempotent, runtimeMaxSec } = agent;
  const window = idempotent === true && runtimeMaxSec !== undefined ? startWindowSec(runtimeMaxSec) : undefined;
  return [
    "[Unit]",
    `AssertPathExists=${heavyAgentPaths.run}`,
    ...(window === undefined ? [] : [`StartLimitIntervalSec=${String(window)}`]),
    "",
  ];
}

function modeService(agent: HeavyAgentUnit): string[] {
  if (agent.mode === "resident") return [`Environment=HEAVY_AGENT_SOCKET=${heavyAgentPaths.runtime}/agent.sock`];
  return [
    // After the agent's own file, which so cannot change the run id.
    `EnvironmentFile=${heavyAgentPaths.run}`,
    // An interrupted run is reported and not repeated, unless its agent says that repeating is safe.
    ...(agent.idempotent === true ? [] : ["Restart=no"]),
  ];
}

/** The drop-in of one agent. Its values are checked: {@link renderHeavyAgentUnits} is the way here. */
function renderDropIn(agent: HeavyAgentUnit): string {
  const { environmentFile, exec, readWritePaths = [], memoryMaxMiB, memoryHighMiB } = agent;
  return [
    ...modeUnit(agent),
    "[Service]",
    quotaOf(agent.cpuQuotaPercentOfMachine ?? cpuPercent, agent.server.vcpus),
    ...(memoryMaxMiB === undefined ? [] : [`MemoryMax=${String(memoryMaxMiB)}M`]),
    ...(memoryHighMiB === undefined ? [] : [`MemoryHigh=${String(memoryHighMiB)}M`]),
    ...(agent.tasksMax === undefined ? [] : [`TasksMax=${String(agent.tasksMax)}`]),
    // TimeoutStartSec= would not do: a start of Type=exec is over when the program has begun.
    ...(agent.runtimeMaxSec === undefined ? [] : [`RuntimeMaxSec=${String(agent.runtimeMaxSec)}`]),
    ...(environmentFile === undefined ? [] : replaced("EnvironmentFile", environmentFile)),
    ...modeService(agent),
    ...(exec === undefined ? [] : replaced("ExecStart", exec.map(execWord).join(" "))),
    ...readWritePaths.map((folder) => `ReadWritePaths=${folder}`),
    // Who may speak with Docker can be root: on this server there is nothing else to have.
    ...(agent.docker === true ? ["SupplementaryGroups=docker"] : []),
    ...(agent.browserSandbox === true ? browserSandbox : []),
    "",
  ].join("\n");
}

/** The files of a server with one agent. The drop-in's name sorts before `override.conf`, a person's own. */
export function renderHeavyAgentUnits(agent: HeavyAgentUnit): Checked<readonly UnitFile[]> {
  const checked = checkHeavyAgentUnit(agent);
  if (!checked.ok) return checked;
  const value = [
    { path: "heavy-agent@.service", text: renderHeavyAgentTemplate() },
    { path: "heavy-agent.slice", text: renderHeavyAgentSlice(agent.server.vcpus) },
    { path: `${heavyAgentUnitName(agent.name)}.d/50-hive.conf`, text: renderDropIn(agent) },
  ];
  return { ok: true, value };
}
