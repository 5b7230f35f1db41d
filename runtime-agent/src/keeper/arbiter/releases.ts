/**
 * The card's release to the host side: a promise that nothing is granted, given for one handoff, written down before it
 * is told, and ended by time or by the host side's word that it does not stop the VM.
 */
import type { Clock } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";
import type { ArbiterLink, HandoffRequest } from "../link/arbiterLink.ts";
import { textOf } from "../processes/errors.ts";
import type { ReleasePromise } from "./record.ts";

/** For so long nothing is granted after a release, ms: the host side stops the VM and starts the other one in it. */
const promiseMs = 120_000;

export interface ReleasePorts {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly log: Log;
  /** The promise that is written down, past its end too. */
  readonly promised: () => ReleasePromise | null;
  /** Makes a promise durable. */
  readonly promise: (promise: ReleasePromise) => Promise<void>;
  /** Ends the promise of this handoff, if it is the one in force, durably. */
  readonly endPromise: (id: string) => Promise<void>;
  readonly wake: () => void;
}

type Answers = Pick<ArbiterLink, "released" | "takenBack">;

export class Releases {
  readonly #ports: ReleasePorts;
  #asked: HandoffRequest | undefined;
  /** The promise that is being written: it holds from before that on, for the link's own lease may end meanwhile. */
  #begun: ReleasePromise | undefined;

  constructor(ports: ReleasePorts) {
    this.#ports = ports;
  }

  /** The request that waits for an answer; undefined while one is being answered. */
  get asked(): HandoffRequest | undefined {
    return this.#begun === undefined ? this.#asked : undefined;
  }

  request(request: HandoffRequest): void {
    this.#asked = request;
  }

  /** The request was refused. */
  answered(): void {
    this.#asked = undefined;
  }

  /** End of what is promised, on the arbiter's monotonic clock, ms; undefined when nothing is. */
  untilMs(): number | undefined {
    const now = this.#ports.clock.monotonicMs();
    const ends = [this.#ports.promised(), this.#begun].flatMap((each) => each?.untilMs ?? []);
    const last = Math.max(Number.NEGATIVE_INFINITY, ...ends);
    return last > now ? last : undefined;
  }

  /** Promises, and then tells the host side. The caller has seen that nothing holds the card. */
  async release(token: number, link: Answers): Promise<void> {
    const request = this.asked;
    if (request === undefined) return;
    const { clock, log, promised, promise } = this.#ports;
    const before = promised();
    const now = clock.monotonicMs();
    // Of two promises in force only the later one is kept. Nobody's word can end both, so then none does.
    const mixed = before !== null && before.untilMs > now && before.id !== request.id;
    this.#begun = { untilMs: now + promiseMs, id: mixed ? null : request.id };
    try {
      await promise(this.#begun);
      // Taken back while it was written: the host side counts on no release of this id any more.
      if (this.#asked?.id !== request.id) return;
      this.#asked = undefined;
      link.released(request.id, token, promiseMs);
      log.notice("the card is released for a handoff", { vmid: request.vmid, forMs: promiseMs });
    } catch {
      // Not written down, not promised: tried again after the next turn.
    } finally {
      this.#begun = undefined;
    }
  }

  /**
   * The host side's word that it ended the handoff and stops no VM under its release. Answered when the end is written
   * (an arbiter that dies before keeps its promise, and is told again), and also when nothing was promised.
   */
  async takeBack(id: string, link: Answers): Promise<void> {
    const { log, promised, endPromise, wake } = this.#ports;
    if (this.#asked?.id === id) this.#asked = undefined;
    const was = this.untilMs();
    try {
      // Writes are done one after the other: a promise that is being written is ended after it.
      await endPromise(id);
    } catch (error) {
      log.warning("a release cannot be taken back yet", { handoff: id, fault: textOf(error) });
      return;
    }
    const ended = was !== undefined && promised() === null;
    if (ended) log.notice("the host side took its release back: grants go on", { handoff: id });
    link.takenBack(id);
    if (ended) wake();
  }
}
