/** `arbiter:` of the configuration: the side that runs where the GPU is (design §5). */
import * as z from "zod";
import {
  absolutePath,
  hostPort,
  httpUrl,
  label,
  list,
  memory,
  oneOf,
  says,
  secretFile,
  strict,
  text,
  timeOfDay,
  whole,
  within,
  yesOrNo,
} from "./configParts.ts";

/** Rungs of the freeze ladder, gentlest first (design §5). */
export const rungNames = ["application", "checkpoint", "freeze", "stop", "term", "kill"] as const;

const argvWord = text(/^[^\0]+$/, "a non-empty word", "Write the program and each argument as one item.");
const application = strict({
  type: oneOf(["vllm", "ollama", "comfyui"], "Write which server it is, or leave `application` out."),
  url: httpUrl,
  model: text(/^[\w./:@-]{1,200}$/, "a model's name", "Write it as the server lists it.").optional(),
  /** ComfyUI: whether a running workflow may be interrupted, its work lost. */
  interrupt: yesOrNo.default(false),
});
const container = strict({
  engine: oneOf(["docker", "podman"], "Write the engine that runs it."),
  name: text(/^[A-Za-z0-9][\w.-]{0,127}$/, "a container's name or id", "Write it as the engine lists it."),
  /** Unix socket of the engine. @default the engine's own */
  socket: absolutePath.optional(),
});

type Rungs = (typeof rungNames)[number][];

const service = strict({
  /** Unique name; the audience of its token and its line in the journal. */
  name: label,
  /** 2 EVA, 3 The Sentinel, 4 The Muse and research. Rank 1, The Banker, computes on CPU cores and holds no GPU. */
  rank: z.literal([2, 3, 4], {
    error: says("2, 3 or 4", "Rank 1 is the market's: it holds no GPU."),
  }),
  kind: oneOf(
    ["interactive", "scan", "batch"],
    "interactive asks for leases, scan comes round, batch fills the night.",
  ),
  /** VRAM it needs when it runs. */
  vram: memory,
  /** How long one hold lasts before it must be renewed, s. */
  leaseSec: whole(1, 86_400, "Write seconds.").default(30),
  /** Whether an open market forbids it. @default true for rank 4, else false */
  forbiddenInMarket: yesOrNo.optional(),
  /**
   * Rungs it may be moved down by; the order is the Keeper's own and depends on what the move is for. `kill` is always
   * the last resort. @default by what is known of the service
   */
  rungs: list(oneOf(rungNames, "Write rungs of the ladder."), rungNames.length, "rungs").optional(),
  /** Where its processes are: exactly one of the four. A cgroup is a path below the cgroup v2 mount. */
  cgroup: text(
    /^\/(?!.*(?:^|\/)\.\.(?:\/|$))[^\0\n]+$/,
    "a path below the cgroup v2 mount, from / on, not / itself",
    "Write it as /proc/PID/cgroup shows it.",
  ).optional(),
  unit: text(
    /^[\w:.@\\-]{1,200}\.(?:service|scope|slice)$/,
    "the name of a systemd service, scope or slice",
    "Write it with its ending.",
  ).optional(),
  container: container.optional(),
  pidFile: absolutePath.optional(),
  /**
   * Starts it when it is to have the GPU and does not run: a program and its arguments, no shell. A request for an
   * interactive one is granted when its processes are there, and refused when they do not come.
   */
  start: list(argvWord, 64, "words")
    .min(1, { error: says("at least the program", "Write the program.") })
    .optional(),
  application: application.optional(),
  /** File that holds the token by which the service calls the local API. */
  tokenFile: secretFile.optional(),
}).transform(({ vram, leaseSec, forbiddenInMarket, rungs, ...rest }) => {
  const bySelf: Rungs = rest.application === undefined ? [] : ["application"];
  const byKernel: Rungs = rest.pidFile === undefined ? ["checkpoint", "freeze"] : ["checkpoint", "stop"];
  const usual: Rungs = [...bySelf, ...byKernel, "term", "kill"];
  return {
    ...rest,
    vramMiB: vram,
    leaseMs: leaseSec * 1000,
    forbiddenInMarket: forbiddenInMarket ?? rest.rank === 4,
    rungs: rungs ?? usual,
  };
});

const gpu = strict({
  /** NVML library to load. @default libnvidia-ml.so.1 */
  library: text(/^[^\0\n]{1,400}$/, "a library's name or path", "Write libnvidia-ml.so.1 or a path.").default(
    "libnvidia-ml.so.1",
  ),
  /** CUDA driver library of the checkpoint rung. @default libcuda.so.1 */
  cudaLibrary: text(/^[^\0\n]{1,400}$/, "a library's name or path", "Write libcuda.so.1 or a path.").default(
    "libcuda.so.1",
  ),
  /** Number of the card; `uuid` names it for good. */
  index: whole(0, 63, "Write the number that nvidia-smi shows.").optional(),
  uuid: text(/^GPU-[0-9a-f-]{36}$/, "a UUID such as GPU-…", "Write it as nvidia-smi -L shows it.").optional(),
  sampleSec: within(0.1, 60, "Write seconds.").default(1),
  /** Longest a driver call may take before the GPU is called unknown, ms. */
  deadlineMs: whole(50, 60_000, "Write milliseconds.").default(2000),
});

/** Above `capC` power is capped, above `pauseC` rank 4 is paused, above `limitC` the lowest rank is killed (seed: 80 °C). */
const thermal = strict({
  capC: within(40, 110, "Write degrees Celsius below pauseC.").default(72),
  pauseC: within(40, 110, "Write degrees Celsius between capC and limitC.").default(76),
  limitC: within(40, 110, "Write degrees Celsius above pauseC.").default(80),
  /** Fresh samples in a row above the limit before anything is killed. */
  samples: whole(2, 60, "Write how many fresh samples must agree.").default(2),
});

/** Eco-mode (seed `000_…` §4): idle → −200 MHz and 60 % of the power limit. Not a voltage: a locked maximum clock. */
const power = strict({
  enabled: yesOrNo.default(true),
  ecoPercent: whole(10, 100, "Write percent of the card's default power limit.").default(60),
  ecoClockOffsetMHz: whole(0, 2000, "Write MHz below the card's own maximum.").default(200),
  /** Idle this long before eco-mode, s. */
  idleSec: whole(0, 86_400, "Write seconds.").default(60),
});

/** The Muse's night (seed: 23–7, load average < 0.5), with hysteresis. */
const muse = strict({
  from: timeOfDay.prefault("23:00"),
  to: timeOfDay.prefault("07:00"),
  loadBelow: within(0.01, 1024, "Write a one-minute load average.").default(0.5),
  /** Above this load a running batch is paused; at least `loadBelow`. */
  loadAbove: within(0.01, 1024, "Write a load average above loadBelow.").default(4),
  /** How long the load must stay beyond a bound before it counts, s. */
  holdSec: whole(0, 86_400, "Write seconds.").default(60),
}).transform(({ from, to, ...rest }) => ({ ...rest, fromMinute: from, toMinute: to }));

const scan = strict({
  everySec: whole(10, 604_800, "Write seconds between two scans.").default(3600),
  /** Longest one scan may hold the GPU, s. */
  maxSec: whole(1, 86_400, "Write seconds.").default(600),
});

/** Where the host side connects, with the key both sides share. */
const link = strict({ listen: hostPort, pskFile: secretFile });

export const arbiterSection = strict({
  services: list(service, 64, "services").default([]),
  gpu: gpu.prefault({}),
  thermal: thermal.prefault({}),
  power: power.prefault({}),
  muse: muse.prefault({}),
  scan: scan.prefault({}),
  link: link.optional(),
});
