/** `host:` of the configuration: the side that runs where the VMs are (design §5). */
import * as z from "zod";
import {
  absolutePath,
  cpuList,
  hostPort,
  label,
  list,
  memory,
  says,
  secretFile,
  strict,
  text,
  whole,
  within,
  yesOrNo,
} from "./configParts.ts";
import { proxmoxAccess } from "./proxmoxAccess.ts";
import { defaultWatchdogTimes, mostPeriodSec } from "./watchdogRules.ts";

const vmid = whole(100, 999_999_999, "Write the VM's number.");

const guest = strict({
  vmid,
  role: label,
  /** 1 is stopped last; a larger number goes first when memory, heat or the GPU demand it. */
  priority: whole(1, 100, "Write 1 for the most important."),
  /** Least memory that ballooning may leave it. @default it is not ballooned */
  balloonMin: memory.optional(),
  /** Never stopped, suspended or killed by the Keeper. */
  essential: yesOrNo.default(false),
  /** Declared to be one of those the GPU may be handed to. */
  gpuContender: yesOrNo.default(false),
}).transform(({ balloonMin, ...rest }) => ({ ...rest, balloonMinMiB: balloonMin }));

/** Roles that compute in the background: paused while the market is open (seed `000_…` §3, rank 1). */
const defaultMarketRoles = ["research", "render", "district"] as const;

/** vCPU, emulator and I/O threads of one VM kept on its cores, and everything else off them (design §4: VM 200). */
const pinning = strict({
  vmid: vmid.default(200),
  cpus: cpuList,
  /** How often the threads are looked at again, s. */
  everySec: whole(1, 3600, "Write seconds.").default(30),
  /** SCHED_FIFO priority of the vCPU threads (seed 001: the trading VM is real-time); 0 leaves the class alone. */
  realtimePriority: whole(0, 49, "Write 0 to 49: above 49 kernel threads starve.").default(1),
});

const link = strict({
  connect: hostPort,
  /** The VM that the arbiter lives in (design §4: The Brain has the GPU); null where it is on this host. */
  vmid: vmid.nullable().default(100),
  pskFile: secretFile,
  /** How long a constraint sent to the arbiter holds, s. */
  leaseSec: whole(3, 3600, "Write seconds.").default(15),
});

/** The firmware's times are checked against the same number (`watchdogRules.ts`). */
const periodSec = whole(1, mostPeriodSec, "Write seconds, well below the reset time.").default(
  defaultWatchdogTimes.periodSec,
);
/** 64 hexadecimal digits, mode 0600: the firmware believes no heartbeat without their signature. */
const keyFile = secretFile;
/** The ESP32 on the reset header: fed only after a completed decision loop. */
const watchdog = z.discriminatedUnion(
  "type",
  [
    strict({
      type: z.literal("serial"),
      device: absolutePath,
      baud: whole(300, 4_000_000, "Write the port's speed.").default(115_200),
      periodSec,
      keyFile,
    }),
    strict({ type: z.literal("udp"), address: hostPort, periodSec, keyFile }),
  ],
  { error: says("serial or udp", "Write how the ESP32 is reached.") },
);

/** What tells the arbiter the heat of the room; the card is capped when that is high. */
const room = strict({
  /**
   * A file of millidegrees Celsius, as hwmon and the 1-Wire bus have them:
   * `/sys/class/hwmon/hwmon3/temp1_input`, `/sys/bus/w1/devices/28-…/temperature`.
   */
  sensor: absolutePath,
});

/** Moving the card between VMs: stop → rebind → start, never in market hours. */
const handoff = strict({
  enabled: yesOrNo.default(false),
  /** Resource mapping of the card in Proxmox. */
  mapping: text(/^[A-Za-z][\w-]{1,127}$/, "the name of a PCI resource mapping", "Write its name.").default("gpu"),
  stopTimeoutSec: whole(5, 3600, "Write seconds.").default(120),
  startTimeoutSec: whole(5, 3600, "Write seconds.").default(180),
  /** Whether the guest that loses the card is started again with CPU rendering. */
  cpuFallback: yesOrNo.default(true),
});

/** Ballooning of idle guests when the host's memory runs short. */
const memoryPressure = strict({
  /** Below this much available memory guests are ballooned. */
  availableBelow: memory.prefault("4 GB"),
  /** Above this much they are given it back. */
  availableAbove: memory.prefault("8 GB"),
  /** A guest below this share of one CPU is idle, percent. */
  idleCpuPercent: within(0, 100, "Write percent.").default(5),
}).transform(({ availableBelow, availableAbove, idleCpuPercent }) => ({
  availableBelowMiB: availableBelow,
  availableAboveMiB: availableAbove,
  idleCpuPercent,
}));

export const hostSection = strict({
  proxmox: strict(proxmoxAccess),
  guests: list(guest, 200, "guests").default([]),
  /** Roles that an open market forbids: guests of these roles are paused, unless they are essential. */
  marketRoles: list(label, 32, "roles").default([...defaultMarketRoles]),
  pinning: pinning.optional(),
  link: link.optional(),
  watchdog: watchdog.optional(),
  room: room.optional(),
  handoff: handoff.prefault({}),
  memoryPressure: memoryPressure.prefault({}),
  /** How often the host side looks at its guests, s. */
  observeSec: whole(1, 300, "Write seconds.").default(5),
});
