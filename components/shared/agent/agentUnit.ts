/**
 * The systemd unit of the agent. Pure; what it may do follows from what its configuration asks for, and each hardening
 * directive that cannot be set has its reason below. What is the Keeper's is here; the units of the Sentinel and of the
 * runner are in `throwawayUnits.ts`.
 *
 * Exposure by `systemd-analyze security --offline` (systemd 252; test/unit/agentUnit.test.ts holds it there): host side
 * 1.9, with pinning 2.1, with a real-time class 2.2, with a serial watchdog 0.2 more; arbiter 2.6, with the checkpoint
 * rung 2.9. What keeps a side above 2.0 is said at {@link capabilities}, {@link devices} and {@link renderUnit}.
 */
import { agentConfigFile, agentFolderName, agentPathsIn, type AgentPlace, type AgentRole } from "./agentPlace.ts";

/** What one side of the Keeper needs of its unit. */
export type KeeperUnit = {
  readonly role: "keeper";
  /** Addresses and networks it may speak with beside loopback, for example `10.20.10.0/24`. */
  readonly network: readonly string[];
} & (
  | {
      readonly side: "arbiter";
      /** Whether a service is moved down by the driver's checkpoint. */
      readonly checkpoint: boolean;
      /** Whether it is in the second place of a machine that has the host side. @default false */
      readonly besideHost?: boolean | undefined;
    }
  | {
      readonly side: "host";
      /** Whether it moves threads of guests between CPUs. */
      readonly pinning: boolean;
      /** Whether it gives them a real-time class. */
      readonly realtime: boolean;
      /** Serial line of the ESP32 watchdog. */
      readonly serialDevice?: string | undefined;
    }
);

/** Exit status of an agent whose configuration is refused (sysexits.h EX_CONFIG): starting it again cannot help. */
export const configRefused = 78;

/** Longest pause between two decision loops before systemd takes the agent for hung, s. The loop runs at 1 Hz. */
export const watchdogSec = 15;

/** The least of capabilities(7) that a side works with. */
export function capabilities(unit: KeeperUnit): readonly string[] {
  if (unit.side === "host") return unit.pinning ? ["CAP_SYS_NICE"] : [];
  return [
    // Services run under other users.
    "CAP_KILL",
    // Power limits and clocks: the NVIDIA driver asks `capable(CAP_SYS_ADMIN)` (open-gpu-kernel-modules, NV_IS_SUSER).
    "CAP_SYS_ADMIN",
    // Threads that are to freeze are put ahead of the load for that: -19, and back (keeper/processes/cgroup/hurry.ts).
    "CAP_SYS_NICE",
    // The checkpoint reaches into the memory of a process of another user.
    ...(unit.checkpoint ? ["CAP_SYS_PTRACE"] : []),
  ];
}

/** Device directives of a side. */
function devices(unit: KeeperUnit): readonly string[] {
  // By class and not by PrivateDevices= with single nodes: a driver that is loaded again, or a board that is plugged in
  // again, gets new nodes, which a private /dev would never show.
  if (unit.side === "arbiter") return ["DevicePolicy=closed", "DeviceAllow=char-nvidia* rw"];
  if (unit.serialDevice === undefined) return ["PrivateDevices=yes"];
  return ["DevicePolicy=closed", ...serialClasses(unit.serialDevice).map((name) => `DeviceAllow=${name} rw`)];
}

function serialClasses(device: string): readonly string[] {
  const [, driver] = /^\/dev\/(ttyUSB|ttyACM)\d+$/.exec(device) ?? [];
  if (driver !== undefined) return [`char-${driver}`];
  return device.startsWith("/dev/serial/") ? ["char-ttyUSB", "char-ttyACM"] : [device];
}

/**
 * System calls: those of a usual service, without what changes the machine; the one that hurries a freeze, which no
 * real-time class comes with; and the calls that pinning is made of.
 */
function systemCalls(unit: KeeperUnit): readonly string[] {
  const pins = "sched_setaffinity sched_setattr sched_setparam sched_setscheduler";
  return [
    "SystemCallFilter=@system-service",
    `SystemCallFilter=~${refusedCalls}`,
    ...(unit.side === "arbiter" ? ["SystemCallFilter=setpriority"] : []),
    ...(unit.side === "host" && unit.pinning ? [`SystemCallFilter=${pins}`] : []),
  ];
}

/** What differs from one unit of the agent to another; everything else is the same for all. */
export interface UnitParts {
  readonly role: AgentRole;
  /** @default the first one of its machine */
  readonly place?: AgentPlace;
  readonly description: string;
  /** Units that it starts after, if they are there. */
  readonly after: readonly string[];
  /** Units that start after it, and that systemd keeps in memory as long as it runs. */
  readonly before?: readonly string[];
  /** Arguments of the program. */
  readonly command: string;
  /** Longest wait for its end before it is killed, s, and why. */
  readonly stop: { readonly why: string; readonly sec: number };
  /** Why others may look into its runtime folder. */
  readonly runtimeWhy: string;
  readonly logs: boolean;
  readonly memoryMax: string;
  readonly tasksMax: number;
  readonly capabilities: readonly string[];
  /** Whether it may give itself or others a real-time class. */
  readonly realtime: boolean;
  /** Lines on devices, on what it may write beside its own folders, and on the like. */
  readonly extra: readonly string[];
  /** Address families beside those of all; its lines on addresses. */
  readonly network: readonly string[];
  /** Lines of the system call filter. */
  readonly systemCalls: readonly string[];
}

/** System calls that none of them makes. */
export const refusedCalls =
  "@clock @cpu-emulation @debug @module @mount @obsolete @privileged @raw-io @reboot @resources @swap";

/**
 * The unit file. Directives that are not there, and why:
 * - `MemoryDenyWriteExecute`: V8 compiles at run time. Node and koffi do run under it with `--jitless` (Node 24.21,
 *   measured), but then a busy loop takes five times as long and there is no WebAssembly, hence no `fetch`.
 * - `User`, `DynamicUser`, `PrivateUsers`: it writes other units' cgroups and speaks to root's own container sockets.
 * - `ProtectControlGroups`: freezing and cpusets are writes below /sys/fs/cgroup, in slices that come and go.
 * - `ProtectProc`: it acts on other users' processes, and to hidepid even another root process counts as one as soon as
 *   it has a capability more (QEMU has all of them).
 * - `ProcSubset`: it reads /proc/loadavg, /proc/meminfo and /proc/stat.
 * - `PrivateNetwork`: the two sides speak over a network; `IPAddressDeny` leaves only the addresses named here.
 * - `RootDirectory`: it needs the machine's own libcuda and sockets.
 */
export function renderUnit(parts: UnitParts): string {
  const { role, stop, place = {} } = parts;
  const [folder, { root }] = [agentFolderName(place), agentPathsIn(place)];
  return `[Unit]
Description=${parts.description}
Documentation=file://${root}/current/
Wants=network-online.target
After=${["network-online.target", ...parts.after].join(" ")}
${(parts.before ?? []).map((unit) => `Before=${unit}\n`).join("")}# A crash loop ends after a minute or two, visibly; RestartSec lets the limit be reached.
StartLimitIntervalSec=300
StartLimitBurst=60

[Service]
Type=notify
NotifyAccess=main
ExecStart=${root}/current/bin/hive-agent ${parts.command} --config ${agentConfigFile(role, place)}
# Reads the configuration anew; a wrong one is refused in the log, and the running one stays.
ExecReload=/bin/kill -HUP $MAINPID
# Fed only after a completed decision loop. A hung loop has nothing to tidy up: it starts again and recovers.
WatchdogSec=${String(watchdogSec)}
WatchdogSignal=SIGKILL
Restart=always
RestartSec=1
RestartPreventExitStatus=${String(configRefused)}
TimeoutStartSec=30
# ${stop.why}
TimeoutStopSec=${String(stop.sec)}
StateDirectory=${folder}/${role}
StateDirectoryMode=0700
# ${parts.runtimeWhy}
RuntimeDirectory=${folder}/${role}
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=restart
${parts.logs ? `LogsDirectory=${folder}\nLogsDirectoryMode=0700\n` : ""}UMask=0077

# It must act while the machine is full: never swapped out, scheduled before the load, killed last.
MemoryMax=${parts.memoryMax}
MemorySwapMax=0
TasksMax=${String(parts.tasksMax)}
CPUWeight=1000
Nice=-10
OOMScoreAdjust=-900
LimitNOFILE=4096
LimitCORE=0

NoNewPrivileges=yes
CapabilityBoundingSet=${parts.capabilities.join(" ")}
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateMounts=yes
PrivateIPC=yes
${parts.extra.join("\n")}
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=${parts.realtime ? "no" : "yes"}
RestrictSUIDSGID=yes
KeyringMode=private
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
${parts.network.join("\n")}
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
${parts.systemCalls.join("\n")}

[Install]
WantedBy=multi-user.target
`;
}

/** Its lines on addresses: nobody but those named. */
export function onlyAddresses(addresses: readonly string[]): readonly string[] {
  return ["IPAddressDeny=any", `IPAddressAllow=${["localhost", ...addresses].join(" ")}`];
}

/** The unit of one side of the Keeper. */
export function renderKeeperUnit(unit: KeeperUnit): string {
  const { role, side } = unit;
  const arbiter = side === "arbiter";
  return renderUnit({
    role,
    place: arbiter ? { besideHost: unit.besideHost } : {},
    description: `Hive ${role}, ${side} side`,
    after: [arbiter ? "nvidia-persistenced.service" : "pve-cluster.service"],
    command: `${role} --side ${side}`,
    stop: {
      why: "The arbiter asks for more while it moves VRAM back; it can ask when its start or its turn is over, within this time.",
      sec: arbiter ? 30 : 10,
    },
    runtimeWhy:
      "Services of other users reach the socket: what they may do there is decided by their tokens. The token file is 0600.",
    logs: true,
    memoryMax: arbiter ? "512M" : "256M",
    tasksMax: 128,
    capabilities: capabilities(unit),
    realtime: side === "host" && unit.realtime,
    extra: devices(unit),
    network: onlyAddresses(unit.network),
    systemCalls: systemCalls(unit),
  });
}
