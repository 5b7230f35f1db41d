/** The arbiter's part of moving the card to another VM, and its end of the link to the host side. */
import type { Clock } from "../../shared/clock.ts";
import type { GpuReading } from "../gpu/types.ts";
import type { AwaitedLink } from "../link/awaitedLink.ts";
import { awaitLink } from "../link/awaitedLink.ts";
import { createKeyWord } from "../link/keyWord.ts";
import type { ArbiterSection } from "./coreConfig.ts";
import type { ArbiterState } from "./core/state.ts";
import type { Constraint } from "./core/types.ts";
import { Releases } from "./releases.ts";
import type { ReleasePorts } from "./releases.ts";
import type { ArbiterStatusDocument } from "./statusDocument.ts";

export interface HandoffPorts extends ReleasePorts {
  readonly clock: Clock;
}

export class Handoff {
  readonly #ports: HandoffPorts;
  #awaited: AwaitedLink | undefined;
  #lastStatus = "";
  readonly #releases: Releases;
  readonly #key = createKeyWord((fault) => this.#ports.log.warning("the host side is refused", { fault }));

  constructor(ports: HandoffPorts) {
    this.#ports = ports;
    this.#releases = new Releases(ports);
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
        this.#releases.request(request);
        wake();
      },
      onTakeBack: (id) => {
        const link = this.#awaited?.link;
        // Never rejects; the host side says it again until it is answered.
        if (link !== undefined) void this.#releases.takeBack(id, link);
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
    const until = this.#releases.untilMs();
    const now = this.#ports.clock.monotonicMs();
    if (until === undefined) return heard;
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
    const request = this.#releases.asked;
    if (request === undefined || !planned) return;
    if (state.unknownPids.length > 0) {
      this.#releases.answered();
      link.refuse(request.id, `processes of no service hold the card: ${state.unknownPids.slice(0, 8).join(", ")}`);
      return;
    }
    // Whose a process is that is on the card is not known yet: neither refused nor released.
    if (!ownersKnown) return;
    const restored = gpuKind !== "known" || (state.power.mode === "restore" && state.power.action === null);
    if (Object.keys(state.holds).length > 0 || !restored) return;
    await this.#releases.release(state.token, link);
  }

  async close(): Promise<void> {
    await this.#awaited?.close();
  }
}
