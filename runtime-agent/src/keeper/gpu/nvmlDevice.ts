/** The card as the Keeper sees it: NVML in a killable child, readings that are never late, limits that hold. */
import { childEnvironment, gpuChildArguments } from "./childArguments.ts";
import { ChildFault } from "./childFault.ts";
import { LimitKeeper } from "./limitKeeper.ts";
import type { RecordOriginal } from "./limitKeeper.ts";
import { LineChild } from "./lineChild.ts";
import type { ChildEvent } from "./lineChild.ts";
import { readHello, readLimits, readSample } from "./readSample.ts";
import type {
  GpuDevice,
  GpuIdentity,
  GpuLimits,
  GpuReading,
  GpuSample,
  GpuSelector,
  LimitOutcome,
  OriginalLimits,
  WantedLimits,
} from "./types.ts";

export interface NvmlDeviceOptions {
  /** Command that ends in `runGpuChild`: `[process.execPath, bundle, "gpu-child"]`. */
  readonly childCommand: readonly string[];
  readonly selector: GpuSelector;
  /** NVML to load; default `libnvidia-ml.so.1` from the loader's paths. */
  readonly library?: string;
  /** Bound of one request, ms. A reading that takes longer is `unknown` and its child is killed. Default 1500. */
  readonly deadlineMs?: number;
  /** Bound of opening the driver, ms: seconds without persistence mode. Default 15000. */
  readonly startDeadlineMs?: number;
  /** How long an absent card is believed absent, ms. Default 60000. */
  readonly absentRetryMs?: number;
  /** Pause before the child is started again, ms. Default 250, doubling to 30000. */
  readonly pauseMs?: { readonly first: number; readonly max: number };
  readonly recorded?: OriginalLimits;
  readonly recordOriginal?: RecordOriginal;
  /** Monotonic milliseconds; default `performance.now`. */
  readonly now?: () => number;
  readonly onEvent?: (event: GpuEvent) => void;
}

export type GpuEvent = ChildEvent | { readonly kind: "reapplied"; readonly outcome: LimitOutcome };

export class NvmlDevice implements GpuDevice {
  readonly #child: LineChild;
  readonly #limits: LimitKeeper;
  readonly #now: () => number;
  readonly #deadlineMs: number;
  readonly #absentRetryMs: number;
  readonly #onEvent: (event: GpuEvent) => void;
  #identity: GpuIdentity | undefined;
  #absent: { readonly reason: string; readonly until: number } | undefined;
  #reading: Promise<GpuReading> | undefined;
  #last: { readonly sample: GpuSample & GpuIdentity; readonly number: number; readonly at: number } | undefined;
  #lastFailure = "not read yet";
  #limitsSession = 0;

  constructor(options: NvmlDeviceOptions) {
    this.#now = options.now ?? (() => performance.now());
    this.#deadlineMs = options.deadlineMs ?? 1500;
    this.#absentRetryMs = options.absentRetryMs ?? 60_000;
    this.#onEvent = options.onEvent ?? (() => undefined);
    this.#child = new LineChild({
      command: [...options.childCommand, ...gpuChildArguments(options.library, options.selector)],
      env: childEnvironment(),
      startDeadlineMs: options.startDeadlineMs ?? 15_000,
      pauseMs: options.pauseMs ?? { first: 250, max: 30_000 },
      now: this.#now,
      onEvent: this.#onEvent,
    });
    const calls = {
      limits: () => this.#readLimits(),
      setPowerLimit: async (watts: number) => void (await this.#ask("setPowerLimit", { watts })),
      lockGraphicsClock: async (maxMHz: number) => void (await this.#ask("lockGraphicsClock", { maxMHz })),
      resetGraphicsClock: async () => void (await this.#ask("resetGraphicsClock", {})),
      uuid: () => this.#identity?.uuid,
    };
    this.#limits = new LimitKeeper(calls, options.recordOriginal ?? (async () => undefined), options.recorded);
  }

  /** Pid of the child, for counting its memory and for tests. */
  get childPid(): number | undefined {
    return this.#child.pid;
  }

  read(): Promise<GpuReading> {
    this.#reading ??= this.#read().finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  latest(maxAgeMs: number): GpuReading {
    if (this.#absent) return { kind: "absent", reason: this.#absent.reason };
    if (!this.#last) return { kind: "unknown", reason: this.#lastFailure };
    const ageMs = this.#now() - this.#last.at;
    if (ageMs > maxAgeMs) {
      return { kind: "unknown", reason: `the last sample is ${Math.round(ageMs)} ms old: ${this.#lastFailure}` };
    }
    return { kind: "known", sample: this.#last.number, ageMs, ...this.#last.sample };
  }

  async limits(): Promise<GpuLimits | undefined> {
    return this.#readLimits().catch(() => undefined);
  }

  original(): OriginalLimits | undefined {
    return this.#limits.original();
  }

  apply(wanted: WantedLimits): Promise<LimitOutcome> {
    return this.#limits.apply(wanted).then((outcome) => this.#applied(outcome));
  }

  setPowerLimitWatts(watts: number): Promise<LimitOutcome> {
    return this.#limits.change({ powerLimitWatts: watts }).then((outcome) => this.#applied(outcome));
  }

  lockGraphicsClockMHz(max: number): Promise<LimitOutcome> {
    return this.#limits.change({ maxGraphicsClockMHz: max }).then((outcome) => this.#applied(outcome));
  }

  resetGraphicsClock(): Promise<LimitOutcome> {
    return this.#limits.change({ maxGraphicsClockMHz: undefined }).then((outcome) => this.#applied(outcome));
  }

  restore(): Promise<LimitOutcome> {
    return this.#limits.restore();
  }

  close(): Promise<void> {
    return this.#child.close();
  }

  async #read(): Promise<GpuReading> {
    if (this.#absent && this.#now() < this.#absent.until) return { kind: "absent", reason: this.#absent.reason };
    try {
      const sample = readSample(await this.#ask("sample", {}));
      const identity = this.#identity;
      if (!sample || !identity) return this.#failed("the GPU child sent a sample that makes no sense");
      this.#child.healthy();
      this.#last = { sample: { ...identity, ...sample }, number: (this.#last?.number ?? 0) + 1, at: this.#now() };
      this.#reapplyAfterReopen();
      return { kind: "known", sample: this.#last.number, ageMs: 0, ...this.#last.sample };
    } catch (error) {
      if (this.#absent) return { kind: "absent", reason: this.#absent.reason };
      return this.#failed(error instanceof Error ? error.message : String(error));
    }
  }

  #failed(reason: string): GpuReading {
    this.#lastFailure = reason;
    return { kind: "unknown", reason };
  }

  async #readLimits(): Promise<GpuLimits> {
    const limits = readLimits(await this.#ask("limits", {}));
    if (!limits) throw new ChildFault("garbage", "the GPU child sent limits that make no sense");
    return limits;
  }

  async #ask(op: string, params: object): Promise<unknown> {
    try {
      const answer = await this.#child.request(op, params, this.#deadlineMs);
      this.#hello();
      return answer;
    } catch (error) {
      const refusal = this.#hello();
      if (refusal !== undefined && error instanceof ChildFault && error.kind === "gone") {
        throw new ChildFault("refused", refusal);
      }
      throw error;
    }
  }

  /** Takes the identity of a newly opened card; gives the reason when the child could not open one. */
  #hello(): string | undefined {
    const hello = readHello(this.#child.hello);
    if (hello?.kind === "identity") {
      this.#identity = hello.identity;
      this.#absent = undefined;
      return undefined;
    }
    // A card that was there and is gone is a driver in trouble, not a machine without a GPU.
    if (hello?.kind === "absent" && !this.#identity) {
      this.#absent = { reason: hello.reason, until: this.#now() + this.#absentRetryMs };
    }
    return hello?.reason;
  }

  #applied(outcome: LimitOutcome): LimitOutcome {
    if (outcome.ok) this.#limitsSession = this.#child.session;
    return outcome;
  }

  /** A driver that was opened anew may have lost the limits: they are set again, beside the readings. */
  #reapplyAfterReopen(): void {
    const session = this.#child.session;
    if (!this.#limits.holds || this.#limitsSession === session) return;
    this.#limitsSession = session;
    void this.#limits.again().then((outcome) => {
      if (!outcome.ok && this.#limitsSession === session) this.#limitsSession = 0;
      this.#onEvent({ kind: "reapplied", outcome });
    });
  }
}
