/**
 * The arbiter's end of the link. It listens, because it has less to lose than the host: the host opens no port.
 * Only one host is heard at a time: a new authenticated connection replaces the one before, so that a half-open
 * one can neither block nor speak.
 */
import { randomBytes } from "node:crypto";
import { createServer } from "node:tls";
import type { Clock } from "../../shared/clock.ts";
import type { Constraint } from "../arbiter/core/types.ts";
import type { ArbiterStatus, FromArbiter, FromHost } from "./protocol.ts";
import type { Session } from "./session.ts";
import { fromHost } from "./protocol.ts";
import { serverTls } from "./psk.ts";
import { openSession } from "./session.ts";

/** What happened on the link, for log and metrics. */
export type LinkEvent =
  | { readonly kind: "connected" }
  | { readonly kind: "lost"; readonly reason: string }
  /** A handshake or a message that was not believed. */
  | { readonly kind: "refused"; readonly reason: string };

export interface HandoffRequest {
  /** To be echoed by `released` or `refuse`. */
  readonly id: string;
  /** The VM that is to give up its GPU. */
  readonly vmid: number;
}

export interface ArbiterLinkOptions {
  readonly listen: { readonly host: string; readonly port: number };
  /** The pre-shared key, 32 bytes. */
  readonly key: Buffer;
  readonly clock: Pick<Clock, "monotonicMs">;
  /** Called for each constraint that was believed, with its end on the arbiter's clock. */
  readonly onConstraint?: (constraint: Constraint) => void;
  readonly onHandoffRequest: (request: HandoffRequest) => void;
  /** The host side ended the handoff of this id without stopping the VM. To be answered by `takenBack`. */
  readonly onTakeBack: (id: string) => void;
  readonly onEvent?: (event: LinkEvent) => void;
  /** @default 5000 */
  readonly silenceMs?: number;
}

export interface ArbiterLink {
  readonly port: number;
  /** The last constraint that was believed, past its end too: the reader compares `untilMonotonicMs`. */
  constraint(): Constraint | undefined;
  readonly connected: boolean;
  /** Told to the host now, and again after a reconnection. */
  setStatus(status: ArbiterStatus): void;
  /**
   * Answers a handoff request: nothing holds the GPU, and nothing will be granted for `validMs`. The caller must keep
   * that promise from before this call on. False when nobody could be told.
   */
  released(id: string, token: number, validMs: number): boolean;
  refuse(id: string, reason: string): boolean;
  /** Answers that a release was taken back. The caller must have ended its promise before, durably. */
  takenBack(id: string): boolean;
  close(): Promise<void>;
}

const mostConnections = 16;
const handshakeMs = 3000;

/** Listens for the host side. Rejects when the address cannot be bound. */
export async function listenForHost(options: ArbiterLinkOptions): Promise<ArbiterLink> {
  const { clock } = options;
  const report = options.onEvent ?? (() => undefined);
  let current: Session<FromArbiter> | undefined;
  let constraint: Constraint | undefined;
  let status: ArbiterStatus | undefined;

  const server = createServer({ ...serverTls(options.key), handshakeTimeout: handshakeMs }, (socket) => {
    let nonce: { readonly value: string; readonly issuedMs: number } | undefined;
    const ack = (accepted: boolean, sequence?: number, reason?: string): void => {
      nonce = { value: randomBytes(16).toString("hex"), issuedMs: clock.monotonicMs() };
      session.send({
        type: "ack",
        nonce: nonce.value,
        accepted,
        ...(sequence === undefined ? {} : { sequence }),
        ...(reason === undefined ? {} : { reason }),
      });
      if (!accepted) report({ kind: "refused", reason: reason ?? "" });
    };
    const take = (message: Extract<FromHost, { type: "constraint" }>): void => {
      const used = nonce;
      if (used?.value !== message.nonce) return ack(false, message.sequence, "nonce is not the newest");
      const untilMonotonicMs = used.issuedMs + message.validMs;
      if (untilMonotonicMs <= clock.monotonicMs()) return ack(false, message.sequence, "expired on the way");
      constraint = {
        marketOpen: message.marketOpen,
        handoff: message.handoff,
        roomC: message.roomC,
        untilMonotonicMs,
      };
      options.onConstraint?.(constraint);
      ack(true, message.sequence);
    };
    const session: Session<FromArbiter> = openSession<FromHost, FromArbiter>({
      socket,
      schema: fromHost,
      silenceMs: options.silenceMs ?? 5000,
      onMessage(message) {
        // A connection that was replaced is deaf, even for what it had already received.
        if (current !== session) return;
        if (message.type === "constraint") take(message);
        else if (message.type === "takeBack") options.onTakeBack(message.id);
        else options.onHandoffRequest({ id: message.id, vmid: message.vmid });
      },
      onEnd(reason) {
        if (current !== session) return;
        current = undefined;
        report({ kind: "lost", reason });
      },
    });
    const before = current;
    current = session;
    before?.end("replaced");
    report({ kind: "connected" });
    ack(true);
    if (status !== undefined) session.send({ type: "status", ...status });
  });
  server.maxConnections = mostConnections;
  server.on("tlsClientError", (error) =>
    report({ kind: "refused", reason: `handshake: ${"code" in error ? String(error.code) : "failed"}` }),
  );
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.listen.port, options.listen.host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  server.on("error", (error) => report({ kind: "lost", reason: error.message }));
  const address = server.address();

  return {
    port: typeof address === "object" && address !== null ? address.port : options.listen.port,
    constraint: () => constraint,
    get connected() {
      return current !== undefined;
    },
    setStatus(next) {
      status = next;
      current?.send({ type: "status", ...next });
    },
    released: (id, token, validMs) => current?.send({ type: "released", id, token, validMs }) ?? false,
    refuse: (id, reason) => current?.send({ type: "refused", id, reason: reason.slice(0, 300) }) ?? false,
    takenBack: (id) => current?.send({ type: "takenBack", id }) ?? false,
    close() {
      current?.end("closing");
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
