/** The arbiter's part of moving the card to another VM, and its end of the link to the host side. */
import type { Clock } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";
import type { GpuReading } from "../gpu/types.ts";
import type { HandoffRequest } from "../link/arbiterLink.ts";
import type { AwaitedLink } from "../link/awaitedLink.ts";
import { awaitLink } from "../link/awaitedLink.ts";
import { createKeyWord } from "../link/keyWord.ts";
import type { ArbiterSection } from "./coreConfig.ts";
import type { ArbiterState } from "./core/state.ts";
import type { Constraint } from "./core/types.ts";
import type { ArbiterStatusDocument } from "./statusDocument.ts";

/** For so long nothing is granted after a release, ms: the host side stops the VM and starts the other one in it. */
const promiseMs = 120_000;

export interface HandoffPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly promisedUntilMs: () => number | null;
  /** Makes a promise durable. */
  readonly promise: (untilMs: number) => Promise<void>;
  readonly wake: () => void;
}

export class Handoff {
  readonly #ports: HandoffPorts;
  #awaited: AwaitedLink | undefined;
  #asked: HandoffRequest | undefined;
  #promising = false;
  #lastStatus = "";
  readonly #key = createKeyWord((fault) => this.#ports.log.warning("the host side is refused", { fault }));

  constructor(ports: HandoffPorts) {
    this.#ports = ports;
  }

  /** Opens the link as soon as its address is there; nobody waits for it. */
  open({ listen }: NonNullable<ArbiterSection["link"]>, key: Buffer): void {
    const { clock, log, wake } = this.#ports;
    const address = `${listen.host}:${String(listen.port)}`;
    this.#awaited = awaitLink({
      listen,
      key,
      clock,
      onRefused: (fault) => {
        log.warning("the link cannot listen: the host is not heard, and it is tried again", { address, fault });
      },
      onListening: () => log.notice("the link listens", { address }),
      onConstraint: wake,
      onHandoffRequest: (request) => {
        this.#asked = request;
        wake();
      },
      onEvent: (event) => {
        log.info("link", { ...event });
        this.#key.take(event);
      },
    });
  }

  /** How the link stands; null without one. */
  status(): ArbiterStatusDocument["link"] {
    const awaited = this.#awaited;
    if (awaited === undefined) return null;
    return { listening: awaited.link !== undefined, fault: awaited.fault ?? this.#key.fault() ?? null };
  }

  /** The word in force. While a promise holds, a handoff is planned, whatever the host side says since. */
  constraint(): Constraint | undefined {
    const heard = this.#awaited?.link?.constraint();
    const until = this.#ports.promisedUntilMs();
    const now = this.#ports.clock.monotonicMs();
    if (until === null || until <= now) return heard;
    const fresh = heard !== undefined && heard.untilMonotonicMs > now ? heard : undefined;
    return {
      marketOpen: fresh?.marketOpen ?? true,
      handoff: true,
      roomC: fresh?.roomC,
      untilMonotonicMs: until,
    };
  }

  /**
   * After a turn: tells the host side how it stands, and answers when the card is free. `ownersKnown`: whether every
   * process on the card is known to be a service's or a stranger's.
   */
  async after(state: ArbiterState, reading: GpuReading, ownersKnown: boolean): Promise<void> {
    const gpuKind = reading.kind;
    const temperatureC = reading.kind === "known" ? reading.temperatureC : undefined;
    const link = this.#awaited?.link;
    if (link === undefined) return;
    const holder = Object.entries(state.holds).find(([, hold]) => hold.phase !== "lowered")?.[0];
    const constraint = this.constraint();
    const planned = constraint?.handoff === true && constraint.untilMonotonicMs > this.#ports.clock.monotonicMs();
    const status = {
      ...(holder === undefined ? {} : { holder }),
      closed: planned,
      gpu: gpuKind,
      ...(temperatureC === undefined ? {} : { temperatureC }),
    };
    const text = JSON.stringify(status);
    if (text !== this.#lastStatus) link.setStatus(status);
    this.#lastStatus = text;
    const request = this.#asked;
    if (request === undefined || this.#promising || !planned) return;
    if (state.unknownPids.length > 0) {
      this.#asked = undefined;
      link.refuse(request.id, `processes of no service hold the card: ${state.unknownPids.slice(0, 8).join(", ")}`);
      return;
    }
    // Whose a process is that is on the card is not known yet: neither refused nor released.
    if (!ownersKnown) return;
    const restored = gpuKind !== "known" || (state.power.mode === "restore" && state.power.action === null);
    if (Object.keys(state.holds).length > 0 || !restored) return;
    this.#promising = true;
    try {
      await this.#ports.promise(this.#ports.clock.monotonicMs() + promiseMs);
      this.#asked = undefined;
      link.released(request.id, state.token, promiseMs);
      this.#ports.log.notice("the card is released for a handoff", { vmid: request.vmid, forMs: promiseMs });
    } catch {
      // Not written down, not promised: tried again after the next turn.
    } finally {
      this.#promising = false;
    }
  }

  async close(): Promise<void> {
    await this.#awaited?.close();
  }
}
