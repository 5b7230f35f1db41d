/**
 * Reads the card beside the loop: a driver that hangs delays samples and nothing else. It samples after a turn of the
 * loop, when the processor is awake anyway, and by itself where no turn comes.
 */
import path from "node:path";
import type { Clock } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";
import { openRotatingFile } from "../../shared/rotate.ts";
import { readFileIfPresent, writeFileAtomically } from "../../shared/stateFile.ts";
import { smallChildFlags } from "../gpu/childArguments.ts";
import { CudaCheckpointClient } from "../gpu/cudaCheckpoint.ts";
import { NvmlDevice } from "../gpu/nvmlDevice.ts";
import { SampleLog } from "../gpu/sampleLog.ts";
import type { GpuDevice, OriginalLimits } from "../gpu/types.ts";
import { textOf } from "../processes/errors.ts";
import type { ArbiterSection } from "./coreConfig.ts";
import { within } from "./within.ts";

export interface GpuPart {
  readonly device: GpuDevice;
  readonly openCuda: () => CudaCheckpointClient;
  /** Ends when the driver has said for the first time what there is, or does not say it soon. */
  awaitKnown(): Promise<void>;
  /** A turn of the loop is over: the next sample is taken now if it is nearly due. */
  turned(): void;
  /** Ends with the sampling; the card's limits are the caller's to restore first. */
  close(): Promise<void>;
}

export interface GpuPartOptions {
  readonly section: ArbiterSection;
  readonly clock: Clock;
  readonly log: Log;
  readonly stateFolder: string;
  readonly logFolder: string;
  /** The agent's own program, which also holds the children. */
  readonly program: string;
  /** After each sample. */
  readonly onSample: () => void;
}

/** How long a start waits for the card's first sample, ms. */
const firstSampleMs = 1_500;
/** How much earlier than due a sample may be taken, and how much later when no turn of the loop comes, share of its period. */
const slack = 0.1;

/** Children run from the bundle with flags that keep them small; sources need the compiler that strips their types. */
function childCommand(program: string, name: string): readonly string[] {
  return [process.execPath, ...(program.endsWith(".ts") ? [] : smallChildFlags), program, name];
}

async function readOriginal(file: string, log: Log): Promise<OriginalLimits | undefined> {
  try {
    const text = await readFileIfPresent(file);
    if (text === undefined) return undefined;
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("uuid" in value) || typeof value.uuid !== "string")
      return undefined;
    const watts = "powerLimitWatts" in value ? value.powerLimitWatts : undefined;
    return { uuid: value.uuid, powerLimitWatts: typeof watts === "number" ? watts : undefined };
  } catch (error) {
    log.error("the card's own limits, noted before, cannot be read", { file, fault: textOf(error) });
    return undefined;
  }
}

/** Starts sampling. Limits that an earlier agent left behind are restored as soon as the card answers. */
export async function startGpuPart(options: GpuPartOptions): Promise<GpuPart> {
  const { section, clock, log } = options;
  const file = path.join(options.stateFolder, "gpu-limits.json");
  const recorded = await readOriginal(file, log);
  const selector = section.gpu.uuid === undefined ? { index: section.gpu.index ?? 0 } : { uuid: section.gpu.uuid };
  const device = new NvmlDevice({
    childCommand: childCommand(options.program, "gpu-child"),
    selector,
    library: section.gpu.library,
    deadlineMs: section.gpu.deadlineMs,
    ...(recorded === undefined ? {} : { recorded }),
    recordOriginal: (original) => writeFileAtomically(file, `${JSON.stringify(original ?? null)}\n`),
    onEvent: (event) => log.debug("gpu", { ...event }),
  });
  const sink = openRotatingFile(path.join(options.logFolder, "gpu.jsonl"));
  const samples = new SampleLog(sink);
  const stop = new AbortController();
  const first = Promise.withResolvers<void>();
  let leftBehind = recorded !== undefined;
  let told = "";

  async function sample(): Promise<void> {
    const reading = await device.read();
    samples.add(reading, clock.wallMs());
    if (reading.kind !== "unknown") first.resolve();
    const line = reading.kind === "known" ? "known" : `${reading.kind}: ${reading.reason.replace(/\d+/g, "#")}`;
    if (line !== told)
      log.notice("gpu", { kind: reading.kind, ...(reading.kind === "known" ? {} : { reason: reading.reason }) });
    told = line;
    if (leftBehind && reading.kind === "known") {
      leftBehind = false;
      const outcome = await device.restore();
      log.notice("the card's own limits, changed by an earlier run", { restored: outcome.ok, ...outcome });
    }
  }

  const everyMs = section.gpu.sampleSec * 1000;
  /** Ends the rest between two samples; undefined while one is taken. */
  let goOn: AbortController | undefined;
  let beganMs = Number.NEGATIVE_INFINITY;

  async function run(): Promise<void> {
    while (!stop.signal.aborted) {
      beganMs = clock.monotonicMs();
      await sample().catch((error: unknown) => log.error("gpu sample", { fault: textOf(error) }));
      options.onSample();
      goOn = new AbortController();
      if (stop.signal.aborted) return;
      await clock.sleep(everyMs * (1 + slack) - (clock.monotonicMs() - beganMs), goOn.signal);
      goOn = undefined;
    }
  }
  const running = run();

  return {
    device,
    awaitKnown: () => within(first.promise, firstSampleMs, "no sample").catch(() => undefined),
    openCuda: () =>
      new CudaCheckpointClient({
        childCommand: childCommand(options.program, "cuda-child"),
        library: section.gpu.cudaLibrary,
        driverVersion: () => {
          const last = device.latest(60_000);
          return last.kind === "known" ? last.driverVersion : undefined;
        },
      }),
    turned() {
      if (clock.monotonicMs() - beganMs >= everyMs * (1 - slack)) goOn?.abort();
    },
    async close() {
      stop.abort();
      goOn?.abort();
      await device.close();
      await running;
      sink.close();
    },
  };
}
