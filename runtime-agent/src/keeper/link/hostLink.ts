/**
 * The host side's end of the link. It connects, renews its constraint every period, and notices a silent arbiter.
 *
 * What the arbiter says is dated by when the host asked: an answer that was held up on the way is as old as its
 * question. So "heard" means that the arbiter was alive at some time after that instant.
 */
import { connect } from "node:tls";
import type { Clock } from "../../shared/clock.ts";
import type { Answer } from "./answers.ts";
import type { LinkEvent } from "./arbiterLink.ts";
import type { ArbiterStatus, FromArbiter, FromHost, HostConstraint } from "./protocol.ts";
import type { Session } from "./session.ts";
import { fromArbiter } from "./protocol.ts";
import { Answers } from "./answers.ts";
import { edition } from "./protocol.ts";
import { clientTls } from "./psk.ts";
import { openSession } from "./session.ts";

export interface HostLinkOptions {
  readonly connect: { readonly host: string; readonly port: number };
  readonly key: Buffer;
  readonly clock: Pick<Clock, "monotonicMs">;
  /** How often the constraint is renewed, ms. @default 1000 */
  readonly periodMs?: number;
  /** How long each constraint is to hold, ms. @default 10 000 */
  readonly validMs?: number;
  /** @default 5000 */
  readonly silenceMs?: number;
  /** First and longest wait before connecting again, ms. @default [200, 10 000] */
  readonly backOffMs?: readonly [number, number];
  /** In [0, 1). @default Math.random */
  readonly random?: () => number;
  readonly onEvent?: (event: LinkEvent) => void;
  /** Something new was heard: the loop may want to run. */
  readonly onNews?: () => void;
}

export interface HostLink {
  /** Sent at once when it differs from the last, then renewed. Until the first call nothing is sent. */
  setConstraint(constraint: HostConstraint): void;
  /** Monotonic ms at which the newest answered constraint was sent; undefined when nothing was answered yet. */
  heardMs(): number | undefined;
  status(): ArbiterStatus | undefined;
  /** Asks for the GPU. False when nobody could be asked; asking again with the same id keeps the first date. */
  requestHandoff(id: string, vmid: number): boolean;
  /** The answer to the newest request. */
  handoff(): Answer | undefined;
  /**
   * Gives a release back, whether or not it was heard: what the arbiter has answered to this id counts no more. Called
   * again until `takenBack` names the id; an arbiter of before that word is told nothing, and keeps its promise to its end.
   */
  takeBack(id: string): void;
  /** Handoffs that the arbiter has confirmed as ended since they were last asked for. */
  takenBack(): readonly string[];
  close(): void;
}

const handshakeMs = 3000;

/** Starts connecting; never throws. */
export function connectToArbiter(options: HostLinkOptions): HostLink {
  const { clock } = options;
  const periodMs = options.periodMs ?? 1000;
  const validMs = options.validMs ?? 10_000;
  const [firstMs, mostMs] = options.backOffMs ?? [200, 10_000];
  const random = options.random ?? Math.random;
  const report = options.onEvent ?? (() => undefined);

  let closed = false;
  let failures = 0;
  let session: Session<FromHost> | undefined;
  let nonce: string | undefined;
  let constraint: HostConstraint | undefined;
  let sequence = 0;
  let waiting: { readonly sequence: number; readonly sentMs: number; readonly constraint: HostConstraint } | undefined;
  let heardMs: number | undefined;
  let status: ArbiterStatus | undefined;
  const answers = new Answers();
  /** Whether the session's arbiter knows the words of `edition`. */
  let newWords = false;
  let abort: (() => void) | undefined;
  let retry: NodeJS.Timeout | undefined;

  const renew = (): void => {
    if (session === undefined || nonce === undefined || constraint === undefined) return;
    sequence += 1;
    waiting = { sequence, sentMs: clock.monotonicMs(), constraint };
    const used = nonce;
    nonce = undefined;
    session.send({ type: "constraint", sequence, nonce: used, validMs, ...constraint });
  };
  const hear = (message: FromArbiter): void => {
    switch (message.type) {
      case "ack":
        nonce = message.nonce;
        failures = 0;
        if (waiting !== undefined && waiting.sequence === message.sequence) {
          heardMs = waiting.sentMs;
          const sent = waiting.constraint;
          waiting = undefined;
          // What changed while the answer was on its way goes out now; what was refused waits for the next beat.
          if (!sameConstraint(sent, constraint)) renew();
        } else renew();
        break;
      case "status": {
        const { type: _type, ...rest } = message;
        status = rest;
        break;
      }
      case "released":
      case "refused":
      case "takenBack":
        if (!answers.hear(message)) return;
        break;
    }
    options.onNews?.();
  };
  const lost = (reason: string): void => {
    session = undefined;
    nonce = undefined;
    waiting = undefined;
    report({ kind: "lost", reason });
    if (closed) return;
    // Between half and the whole of a doubling wait: two sides that fell together do not come back together.
    const waitMs = Math.min(mostMs, firstMs * 2 ** Math.min(failures, 20)) * (0.5 + random() / 2);
    failures += 1;
    retry = setTimeout(open, waitMs);
    retry.unref();
  };
  const open = (): void => {
    const socket = connect({ ...options.connect, ...clientTls(options.key) });
    let done = false;
    const failed = (reason: string): void => {
      if (done) return;
      done = true;
      clearTimeout(guard);
      socket.destroy();
      lost(reason);
    };
    const guard = setTimeout(() => failed("handshake timed out"), handshakeMs);
    guard.unref();
    abort = () => failed("closing");
    socket.on("error", (error) => failed("code" in error ? String(error.code) : "error"));
    socket.on("close", () => failed("closed"));
    socket.on("secureConnect", () => {
      if (done) return;
      done = true;
      clearTimeout(guard);
      report({ kind: "connected" });
      newWords = socket.alpnProtocol === edition;
      const opened = openSession<FromArbiter, FromHost>({
        socket,
        schema: fromArbiter,
        silenceMs: options.silenceMs ?? 5000,
        onMessage: hear,
        onEnd: lost,
      });
      session = opened;
      abort = () => opened.end("closing");
    });
  };
  const beat = setInterval(renew, periodMs);
  beat.unref();
  open();

  return {
    setConstraint(next) {
      const changed = !sameConstraint(constraint, next);
      constraint = next;
      if (changed) renew();
    },
    heardMs: () => heardMs,
    status: () => status,
    requestHandoff(id, vmid) {
      if (session === undefined) return false;
      answers.ask(id, clock.monotonicMs());
      return session.send({ type: "handoffRequest", id, vmid });
    },
    handoff: () => answers.answer,
    takeBack(id) {
      answers.takeBack(id);
      if (newWords) session?.send({ type: "takeBack", id });
    },
    takenBack: () => answers.takenBack,
    close() {
      closed = true;
      clearInterval(beat);
      clearTimeout(retry);
      abort?.();
    },
  };
}

function sameConstraint(a: HostConstraint | undefined, b: HostConstraint | undefined): boolean {
  return a?.marketOpen === b?.marketOpen && a?.handoff === b?.handoff && a?.roomC === b?.roomC;
}
