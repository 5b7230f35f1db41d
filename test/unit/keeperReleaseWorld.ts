/** Both sides of a handoff in one process, at the parts that decide: what is sent, written and ordered waits its turn. */
import { Releases } from "../../runtime-agent/src/keeper/arbiter/releases.ts";
import type { ReleasePromise } from "../../runtime-agent/src/keeper/arbiter/record.ts";
import { defaultBalloonPolicy } from "../../runtime-agent/src/keeper/host/core/balloons.ts";
import type { HostPolicy } from "../../runtime-agent/src/keeper/host/core/decide.ts";
import {
  decideHost,
  emptyHostState,
  handoffPlanned,
  resumeHost,
} from "../../runtime-agent/src/keeper/host/core/decide.ts";
import { defaultHandoffPolicy, isActive } from "../../runtime-agent/src/keeper/host/core/handoffPlan.ts";
import type { HostAction, HostEvent } from "../../runtime-agent/src/keeper/host/core/types.ts";
import { readKept } from "../../runtime-agent/src/keeper/host/kept.ts";
import { Answers } from "../../runtime-agent/src/keeper/link/answers.ts";
import type { FromArbiter, FromHost } from "../../runtime-agent/src/keeper/link/protocol.ts";
import { createLog } from "../../runtime-agent/src/shared/log.ts";
import { World, worldGuest } from "./keeperHostWorld.ts";

const gpu = "mapping=gpu,pcie=1";
const leaseMs = 10_000;
const log = createLog({ write: () => undefined });
const policy: HostPolicy = {
  guests: [
    { vmid: 100, role: "ai", priority: 2, essential: true, balloonMinMiB: 65_536, gpuContender: true },
    { vmid: 102, role: "district", priority: 6, essential: false, balloonMinMiB: 16_384, gpuContender: true },
  ],
  balloons: { ...defaultBalloonPolicy, lowMiB: 4096, highMiB: 8192 },
  handoff: { ...defaultHandoffPolicy, enabled: true, mapping: "gpu", cpuFallback: false },
  marketRoles: [],
  idleCpu: 0.05,
  idleMs: 60_000,
  shortMs: 30_000,
  shutdownMs: 120_000,
  reserveMiB: 2048,
};

interface Write {
  readonly apply: () => void;
  readonly end: (fault?: Error) => void;
}

/** What is on its way between the two of one session; gone with it. */
interface Wire {
  readonly up: FromHost[];
  readonly down: FromArbiter[];
}

export class ReleaseWorld {
  readonly world = new World();
  nowMs = 1_000_000;
  marketOpen = false;
  /** Whether EVA holds the card. She waits for it all the time. */
  held = false;
  readonly counts = { releases: 0, takenBack: 0, orders: 0 };
  /** The card granted while a release might still be acted on, or a VM stopped without one. */
  readonly wrongs: string[] = [];
  #wire: Wire | undefined;
  // The host side: what it remembers, and what survives it.
  #state = emptyHostState;
  #journal = JSON.stringify(emptyHostState.kept);
  #answers = new Answers();
  #events: HostEvent[] = [];
  /** Orders to stop VM 100 that Proxmox has and has not carried out, with the end of the release they were made under. */
  #orders: { readonly action: HostAction; readonly untilMs: number; readonly by: Answers }[] = [];
  // The arbiter, likewise.
  #releases = this.#arbiter();
  #promised: ReleasePromise | null = null;
  #writes: Write[] = [];
  #constraint = { handoff: false, untilMs: 0 };

  constructor() {
    this.world.guests.set(100, worldGuest({ maxMiB: 65_536, balloonMiB: 65_536, devices: { hostpci0: gpu } }));
    this.world.guests.set(102, worldGuest({ status: "stopped", maxMiB: 16_384, balloonMiB: 16_384 }));
    this.connect();
  }

  get promisedUntilMs(): number | undefined {
    return this.#releases.untilMs();
  }
  get abandoned(): readonly string[] {
    return this.#state.kept.abandoned.map(({ id }) => id);
  }
  get step(): string | undefined {
    return this.#state.kept.handoff?.step;
  }

  connect(): void {
    if (this.#up) this.#wire = { up: [], down: [] };
  }
  cut(): void {
    this.#wire = undefined;
  }
  begin(id: string): void {
    this.#events.push({ kind: "handoff", id, toVmid: 102 });
  }
  toHost(): void {
    const message = this.#wire?.down.shift();
    if (message?.type === "takenBack") this.counts.takenBack += 1;
    if (message?.type === "released" || message?.type === "takenBack") this.#answers.hear(message);
  }
  async toArbiter(): Promise<void> {
    const message = this.#wire?.up.shift();
    if (message?.type === "constraint") {
      this.#constraint = { handoff: message.handoff, untilMs: this.nowMs + message.validMs };
    } else if (message?.type === "handoffRequest") this.#releases.request({ id: message.id, vmid: message.vmid });
    else if (message?.type === "takeBack") void this.#releases.takeBack(message.id, this.#link());
    await settle();
  }

  /** Decides, journals and, unless it is killed in between, acts. */
  hostTurn(killed = false): void {
    const answer = this.#answers.answer;
    const heard = this.#wire !== undefined;
    const outcome = decideHost(
      this.#state,
      {
        ...{ monotonicMs: this.nowMs, wallMs: this.nowMs, guests: this.world.seen() },
        ...{ marketOpen: this.marketOpen, marketOpensInMs: Number.POSITIVE_INFINITY },
        memory: { totalMiB: this.world.totalMiB, availableMiB: this.world.availableMiB() },
        arbiter: {
          ...{ vmid: 100, heard, takenBack: this.#answers.takenBack },
          ...(answer === undefined ? {} : { answer }),
        },
        events: this.#events,
      },
      policy,
    );
    this.#events = [];
    this.#journal = JSON.stringify(outcome.state.kept);
    if (killed) return;
    this.#state = outcome.state;
    for (const { id } of this.#state.kept.abandoned) {
      this.#answers.takeBack(id);
      this.#wire?.up.push({ type: "takeBack", id });
    }
    for (const action of outcome.actions) this.#carryOut(action);
    this.#wire?.up.push({
      ...{ type: "constraint", sequence: 1, nonce: "0".repeat(32), marketOpen: this.marketOpen },
      ...{ handoff: handoffPlanned(this.#state), validMs: leaseMs },
    });
  }

  async killHost(): Promise<void> {
    const kept: unknown = JSON.parse(this.#journal);
    async function* entries() {
      yield { kind: "entry" as const, value: { kind: "kept", kept } };
    }
    const read = await readKept({ entries });
    this.#state = resumeHost(read.kept, this.nowMs);
    this.#answers = new Answers();
    this.#events = [];
    this.cut();
    this.connect();
  }

  #carryOut(action: HostAction): void {
    if (action.kind === "ask") {
      if (this.#wire === undefined) return;
      this.#answers.ask(action.plan, this.nowMs);
      this.#wire.up.push({ type: "handoffRequest", id: action.plan, vmid: action.vmid });
    } else if (action.vmid === 100 && (action.kind === "shutdown" || action.kind === "stop")) {
      const answer = this.#answers.answer;
      const untilMs = answer !== undefined && "untilMs" in answer ? answer.untilMs : 0;
      this.counts.orders += 1;
      if (untilMs <= this.nowMs || this.held) this.wrongs.push("VM 100 is stopped without a release");
      this.#orders.push({ action, untilMs, by: this.#answers });
    } else this.#done(action, this.#answers);
  }

  /** Proxmox carries out, or gives up, the oldest order to stop VM 100. */
  land(obeys: boolean): void {
    const order = this.#orders.shift();
    if (order === undefined) return;
    if (obeys) this.#done(order.action, order.by);
    else if (order.by === this.#answers)
      this.#events.push({ kind: "done", action: order.action.id, ok: false, reason: "it does not power off" });
  }
  #done(action: HostAction, by: Answers): void {
    const was = this.#up;
    const event = this.world.perform(action);
    // The process that ordered it may be gone.
    if (by === this.#answers) this.#events.push(event);
    if (was === this.#up) return;
    // Off: the arbiter is gone with its machine. On: another boot, to which no promise of before belongs.
    this.#promised = null;
    this.#boot();
  }

  get #up(): boolean {
    return this.world.guests.get(100)?.status !== "stopped";
  }
  /** SIGKILL of the arbiter; what it was writing may have got through. */
  killArbiter(written: boolean): void {
    if (written) this.#writes[0]?.apply();
    this.#boot();
  }
  #boot(): void {
    this.held = false;
    this.#writes = [];
    this.#constraint = { handoff: false, untilMs: 0 };
    this.#releases = this.#arbiter();
    this.cut();
    this.connect();
  }
  async arbiterTurn(): Promise<void> {
    if (!this.#up) return;
    const { handoff, untilMs } = this.#constraint;
    const planned = (handoff && untilMs > this.nowMs) || this.#releases.untilMs() !== undefined;
    // With no handoff planned she has it at once; else she is asked to leave.
    this.held = !planned;
    if (planned && !this.held && this.#wire !== undefined) void this.#releases.release(7, this.#link());
    await settle();
  }
  async write(ok: boolean): Promise<void> {
    const write = this.#writes.shift();
    if (ok) write?.apply();
    write?.end(ok ? undefined : new Error("no space left on device"));
    await settle();
  }

  #arbiter(): Releases {
    const append = (apply: () => void): Promise<void> =>
      new Promise((resolve, reject) => {
        this.#writes.push({ apply, end: (fault) => (fault === undefined ? resolve() : reject(fault)) });
      });
    return new Releases({
      ...{ log, clock: { monotonicMs: () => this.nowMs }, wake: () => undefined },
      promised: () => this.#promised,
      promise: (promise) => append(() => (this.#promised = promise)),
      endPromise: (id) => append(() => (this.#promised = this.#promised?.id === id ? null : this.#promised)),
    });
  }
  /** Answers go to whoever is linked when they are given. */
  #link() {
    const say = (message: FromArbiter): boolean => {
      this.#wire?.down.push(message);
      if (message.type === "released") this.counts.releases += 1;
      return this.#wire !== undefined;
    };
    return {
      released: (id: string, token: number, validMs: number) => say({ type: "released", id, token, validMs }),
      takenBack: (id: string) => say({ type: "takenBack", id }),
    };
  }

  /** Notes it when the card is held though the host side may still act on a release. */
  check(): void {
    const plan = this.#state.kept.handoff;
    const answer = this.#answers.answer;
    const mayAct = isActive(plan) && (plan.step === "ask" || plan.step === "stop-from") && answer?.id === plan.id;
    const ends = this.#orders.map(({ untilMs }) => untilMs);
    if (mayAct && "untilMs" in answer) ends.push(answer.untilMs);
    const inForce = ends.some((untilMs) => untilMs > this.nowMs);
    if (inForce && this.held && this.#up) this.wrongs.push("the card is granted while a release may be acted on");
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 6; turn += 1) await Promise.resolve();
}
