/**
 * Connections to a host whose certificate is known by its fingerprint: Proxmox signs its own, so no public authority
 * vouches for it. The fingerprint is compared before the first byte of a request, and so the token, is sent.
 */
import { Agent } from "node:https";
import type { Duplex } from "node:stream";
import { connect } from "node:tls";
import { PveError } from "./errors.ts";

/** SHA-256 fingerprints without colons and in one case. */
const normal = (fingerprint: string): string => fingerprint.replaceAll(":", "").toUpperCase();

type Made = (error: Error | null, stream: Duplex) => void;

export interface Pin {
  readonly host: string;
  readonly port: number;
  /** SHA-256 of the certificate, 64 hexadecimal digits, colons allowed. */
  readonly fingerprint: string;
}

class PinnedAgent extends Agent {
  readonly #pin: Pin;

  constructor(pin: Pin) {
    super({ keepAlive: true, maxSockets: 4, maxFreeSockets: 2, timeout: 60_000 });
    this.#pin = pin;
  }

  override createConnection(_options: unknown, made?: Made): undefined {
    const { host, port, fingerprint } = this.#pin;
    // Not verified by authorities: what is checked instead is stronger, and checked below.
    const socket = connect({ host, port, servername: "", rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] });
    const failed = (error: Error): void => made?.(error, socket);
    socket.once("error", failed);
    socket.once("secureConnect", () => {
      socket.off("error", failed);
      const shown = socket.getPeerCertificate().fingerprint256;
      if (typeof shown === "string" && normal(shown) === normal(fingerprint)) made?.(null, socket);
      else {
        const error = new PveError("certificate", host, "its certificate is not the pinned one");
        socket.on("error", () => undefined);
        socket.destroy();
        made?.(error, socket);
      }
    });
    return undefined;
  }
}

/** An agent for `https.request` that talks to one host with one certificate. */
export function pinnedAgent(pin: Pin): Agent {
  return new PinnedAgent(pin);
}
