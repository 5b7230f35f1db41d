/** The parts of the arbiter put together: memory, loop, executor, observation, card and link. */
import { failpoint } from "../../shared/failpoints.ts";
import { textOf } from "../processes/errors.ts";
import type { GpuReading } from "../gpu/types.ts";
import { bootId } from "./agentClock.ts";
import type { ArbiterOptions } from "./arbiterOptions.ts";
import { coreConfig, staleMs } from "./coreConfig.ts";
import type { ArbiterSection } from "./coreConfig.ts";
import { recover } from "./core/recover.ts";
import { Executor } from "./executor.ts";
import type { GpuPart } from "./gpuSampler.ts";
import { startGpuPart } from "./gpuSampler.ts";
import { Handoff } from "./handoff.ts";
import { putRight } from "./kernelCheck.ts";
import { Leases } from "./leases.ts";
import { leaveAll } from "./leave.ts";
import type { LinkKey } from "./linkKey.ts";
import { readLinkKey } from "./linkKey.ts";
import { DecisionLoop } from "./loop.ts";
import { Memory } from "./memory.ts";
import { Observer } from "./observe.ts";
import type { Held } from "./places.ts";
import { setPowerMode } from "./power.ts";
import type { RoutePorts } from "./routes.ts";
import { rungPorts } from "./rungPorts.ts";
import type { RungPorts } from "./rungs.ts";
import { Services } from "./services.ts";
import type { ArbiterStatusDocument, NumberedDecision } from "./statusDocument.ts";
import { Views } from "./views.ts";

/** What is there before the arbiter, and parts that those made before them look up. */
interface Made {
  readonly linkKey: LinkKey;
  services?: Services;
  unasked?: () => readonly string[];
  arbiter?: Arbiter;
}

export class Arbiter {
  readonly #made: Made;
  readonly #options: ArbiterOptions;
  readonly #memory: Memory;
  readonly #gpu: GpuPart;
  readonly #loop: DecisionLoop;
  readonly #leases = new Leases();
  readonly #executor: Executor;
  readonly #observer: Observer;
  readonly #handoff: Handoff;
  readonly #rungs: RungPorts;
  readonly #views: Views;
  readonly #listeners: ((decision: NumberedDecision) => void)[];
  #services: Services;
  #section: ArbiterSection;
  #gpuKind: GpuReading["kind"] | undefined;

  private constructor(
    options: ArbiterOptions,
    memory: Memory,
    gpu: GpuPart,
    services: Services,
    listeners: ((decision: NumberedDecision) => void)[],
    made: Made,
  ) {
    this.#made = made;
    const { clock, load1, log, config } = (this.#options = options);
    this.#memory = memory;
    this.#gpu = gpu;
    this.#services = services;
    this.#section = config.arbiter;
    this.#listeners = listeners;
    this.#rungs = rungPorts(gpu, memory);
    this.#handoff = new Handoff({
      clock,
      log,
      promised: () => memory.promised,
      promise: (promise) => memory.promise(promise),
      endPromise: (id) => memory.endPromise(id),
      wake: this.wake,
    });
    this.#observer = new Observer({
      clock,
      load1,
      log,
      services: () => this.#services,
      reading: () => this.#reading(),
      constraint: () => this.#handoff.constraint(),
      state: () => this.#loop.state,
      exited: (service) => void this.#loop.push({ kind: "exited", service }),
      repair: (service, work) => this.#executor.repair(service, work),
    });
    made.unasked = () => this.#observer.unasked;
    this.#executor = new Executor({
      log,
      services: () => this.#services,
      ladder: () => this.#loop.config.ladder,
      rungs: this.#rungs,
      leases: this.#leases,
      setPower: (mode) => setPowerMode(mode, this.#gpu.device, this.#section.power),
      started: (service) => this.#observer.started(service),
      done: (event) => void this.#loop.push(event),
    });
    this.#loop = new DecisionLoop(
      {
        clock,
        log,
        observe: (events) => this.#observer.observe(events),
        record: (turns) => memory.record(turns),
        perform: (actions) => this.#executor.perform(actions),
        takeBack: (names) => this.#executor.takeBack(names),
        completed: () => this.#completed(),
      },
      memory.before.state,
      coreConfig(config, config.arbiter),
    );
    this.#views = new Views({
      clock,
      load1,
      memory,
      loop: this.#loop,
      leases: this.#leases,
      reading: () => this.#reading(),
      constraint: () => this.#handoff.constraint(),
      link: () => this.#handoff.status(),
      kernelOf: (service) => this.#observer.kernelOf(service),
    });
  }

  /** @throws SecretFileError when the link's key cannot be used at a first start: before anything is opened or touched */
  static async open(options: ArbiterOptions): Promise<Arbiter> {
    const { config, clock, log } = options;
    const linkKey = await readLinkKey(config.arbiter.link, config.paths.state);
    const listeners: ((decision: NumberedDecision) => void)[] = [];
    const made: Made = { linkKey };
    const memory = await Memory.open(config.paths.state, {
      boot: bootId(),
      wallMs: () => clock.wallMs(),
      log,
      placesOf: (names) => made.services?.places([...names, ...(made.unasked?.() ?? [])]) ?? {},
      onDecision: (decision) => listeners.forEach((listener) => listener(decision)),
      configured: config.arbiter.services,
    });
    const services = new Services(config.arbiter.services, memory.before.shell.places);
    made.services = services;
    const gpu = await startGpuPart({
      section: config.arbiter,
      clock,
      log,
      stateFolder: config.paths.state,
      logFolder: config.paths.log,
      program: options.program,
      onSample: () => made.arbiter?.sampled(),
    });
    made.arbiter = new Arbiter(options, memory, gpu, services, listeners, made);
    return made.arbiter;
  }

  get grants(): number {
    return this.#leases.grants;
  }

  onDecision(listener: (decision: NumberedDecision) => void): void {
    this.#listeners.push(listener);
  }

  readonly wake = (): void => this.#loop.wake();
  readonly stop = (): void => this.#loop.stop();

  /** Before anything is held again. @throws SecretFileError when the link's key cannot be used; to be left then */
  assertLinkKey(): void {
    if (this.#made.linkKey instanceof Error) throw this.#made.linkKey;
  }

  /** From the record and the kernel's word to a state that is right; before the first turn. */
  async recover(): Promise<void> {
    const { state, rebooted } = this.#memory.before;
    const monotonicMs = this.#options.clock.monotonicMs();
    const outcome = recover(state, { monotonicMs, rebooted }, this.#loop.config);
    await failpoint("recover.before-kernel");
    const unasked = await putRight(this.#services, outcome.state, this.#options.log);
    this.#observer.watch(unasked);
    this.#services.forget(outcome.actions, unasked);
    await failpoint("recover.before-adopt");
    await this.#loop.adopt(outcome, this.#loop.config);
    // What it had started itself and is gone is found out at once.
    for (const [name, hold] of Object.entries(outcome.state.holds)) {
      if (hold.lease === null) this.#observer.started(name);
    }
    await this.#observer.look();
  }

  /** Begins to listen for the host side. A link that cannot be opened yet holds up nothing. */
  openLink(): void {
    const { link } = this.#section;
    const { linkKey } = this.#made;
    if (link !== undefined && linkKey instanceof Buffer) this.#handoff.open(link, linkKey);
  }

  /** What may not move to another place by a reload, by name. */
  held(): Readonly<Record<string, Held>> {
    const { holds } = this.#loop.state;
    const places = Object.entries(this.#services.places(this.#bound()));
    const { unasked } = this.#observer;
    return Object.fromEntries(
      places.map(([name, place]) => [
        name,
        { place, undo: holds[name]?.undo ?? [], unasked: unasked.includes(name) && holds[name] === undefined },
      ]),
    );
  }

  /** Services that are held, or may be: they could not be compared with the record yet. */
  #bound(): readonly string[] {
    return [...new Set([...Object.keys(this.#loop.state.holds), ...this.#observer.unasked])];
  }

  /** Rank 4 rests while the card is unknown: a start should not pause it for nothing. */
  async run(between: () => Promise<void>): Promise<void> {
    await this.#gpu.awaitKnown();
    await this.#loop.run(between);
  }

  /** Another configuration, between two turns. Requests that wait go on waiting. */
  async reconfigure(config: ArbiterOptions["config"]): Promise<void> {
    const held = this.#services.places(this.#bound());
    const waiting = this.#loop.state.queue;
    this.#section = config.arbiter;
    this.#services = new Services(config.arbiter.services, held);
    this.#made.services = this.#services;
    const core = coreConfig(config, config.arbiter);
    const monotonicMs = this.#options.clock.monotonicMs();
    const outcome = recover(this.#loop.state, { monotonicMs, rebooted: false }, core);
    this.#services.forget(outcome.actions, this.#observer.unasked);
    await this.#loop.adopt(outcome, core);
    for (const { lease, service } of waiting) void this.#loop.push({ kind: "request", id: lease, service });
  }

  /** Sets everything free (`leave.ts`). Gives the services that could not be. */
  leave(extend: (ms: number) => void): Promise<readonly string[]> {
    return leaveAll({
      services: this.#services,
      section: this.#section,
      state: () => this.#loop.state,
      executor: this.#executor,
      rungs: this.#rungs,
      device: this.#gpu.device,
      log: this.#options.log,
      extend,
    });
  }

  async close(): Promise<void> {
    await this.#handoff.close();
    await this.#gpu.close();
    await this.#memory.close();
  }

  status(): ArbiterStatusDocument {
    return this.#views.status();
  }

  routePorts(): RoutePorts {
    return this.#views.routePorts();
  }

  /** A sample was taken. When the card came or went, or is too hot, nobody waits for the next second to be told. */
  sampled(): void {
    this.#quietly(
      this.#observer.findOwners().then(() => {
        const reading = this.#reading();
        const celsius = reading.kind === "known" ? (reading.temperatureC ?? 0) : 0;
        if (reading.kind !== this.#gpuKind || celsius > this.#section.thermal.limitC) this.#loop.wake();
        this.#gpuKind = reading.kind;
      }),
    );
  }

  #reading(): GpuReading {
    return this.#gpu.device.latest(staleMs(this.#section));
  }

  #completed(): void {
    this.#views.turned();
    this.#options.onTurn();
    this.#gpu.turned();
    this.#quietly(this.#handoff.after(this.#loop.state, this.#reading(), this.#observer.ownersKnown));
    this.#quietly(this.#observer.look());
  }

  #quietly(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.#options.log.warning("beside the loop", { fault: textOf(error) }));
  }
}
