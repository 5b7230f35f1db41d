/**
 * TLS with a pre-shared key for each peer, as the Sentinel and its runners speak it: TLS 1.2, ECDHE-PSK with
 * ChaCha20-Poly1305 (RFC 8442, RFC 7905), so that each side proves that it knows the key and a key that leaks later
 * opens no old recording. There are no certificates to renew. For node:https, with everything bounded.
 */
import { constants, createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import type { Socket } from "node:net";
import type { TLSSocket, TlsOptions } from "node:tls";

const common = { minVersion: "TLSv1.2", maxVersion: "TLSv1.2", ciphers: "ECDHE-PSK-CHACHA20-POLY1305" } as const;

/** The key of an identity, 32 bytes; undefined for one that is not known, or not any more. */
export type PskKeys = (identity: string) => Buffer | undefined;

/** By whose key, and by which, a connection was opened. */
const proofs = new WeakMap<Socket, { readonly identity: string; readonly key: Buffer }>();

/** The identity by whose key a connection to a {@link pskServer} was opened. */
export function pskIdentity(socket: Socket): string | undefined {
  return proofs.get(socket)?.identity;
}

/** Whether the key that opened a connection is that of its identity still: the end of a handshake may be long in coming. */
export function pskHolds(socket: Socket, keyOf: PskKeys): boolean {
  const proof = proofs.get(socket);
  return proof !== undefined && keyOf(proof.identity)?.equals(proof.key) === true;
}

const agentPrefix = "agent:";

/** Names a key without telling it, 16 hexadecimal digits: which of an agent's keys is meant while there are two. */
export function keyId(key: Buffer): string {
  return createHash("sha256").update("hive agent key\n").update(key).digest("hex").slice(0, 16);
}

/** The identity of an agent's runner: with its key, as it calls the Sentinel; without one, as it is called. */
export function agentIdentity(name: string, key?: Buffer): string {
  return `${agentPrefix}${name}${key === undefined ? "" : `#${keyId(key)}`}`;
}

/** Agent and key that an identity names; undefined for one that is no agent's. */
export function readAgentIdentity(
  identity: string,
): { readonly name: string; readonly keyId: string | undefined } | undefined {
  if (!identity.startsWith(agentPrefix)) return undefined;
  const [name = "", id, ...rest] = identity.slice(agentPrefix.length).split("#");
  return rest.length > 0 ? undefined : { name, keyId: id };
}

/** TLS settings of the side that listens, for `https.createServer`. */
export function pskServer(keyOf: PskKeys) {
  return {
    ...common,
    // A resumed session would ask for no key: whose key was withdrawn could come back for hours.
    // And who is in cannot take another's name in the middle of a connection.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    handshakeTimeout: 5000,
    pskCallback(socket: TLSSocket, identity: string): Buffer | null {
      const key = keyOf(identity);
      if (key === undefined) return null;
      proofs.set(socket, { identity, key });
      return key;
    },
  } satisfies TlsOptions;
}

export interface PskClientOptions {
  readonly identity: string;
  /** 32 bytes. */
  readonly key: Buffer;
  /** Connections to one peer at a time. @default 4 */
  readonly maxSockets?: number;
}

/**
 * An agent for `https.request` that speaks with one key. One for each key: node pools connections by their address and
 * never looks at the key. `destroy()` closes what it holds.
 */
export function pskClient({ identity, key, maxSockets = 4 }: PskClientOptions): Agent {
  return new Agent({
    ...common,
    keepAlive: true,
    maxSockets,
    maxFreeSockets: 1,
    maxCachedSessions: 0,
    pskCallback: () => ({ psk: key, identity }),
    // There is no certificate to check: knowing the key is the identity.
    checkServerIdentity: () => undefined,
  });
}

export interface PskCall {
  readonly agent: Agent;
  readonly host: string;
  readonly port: number;
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON text, sent as it is: what was signed is what goes out. */
  readonly body?: string | undefined;
  /** For the whole call, connecting included, ms. @default 10 000 */
  readonly timeoutMs?: number;
  /** Longest answer, bytes. @default 1 MiB */
  readonly mostBytes?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface PskAnswer {
  readonly status: number;
  readonly text: string;
}

function read(incoming: IncomingMessage, most: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    incoming.on("data", (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      if (size > most) incoming.destroy(new Error(`the answer is above ${String(most)} bytes`));
    });
    incoming.on("error", reject);
    incoming.on("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
  });
}

/** Calls the other side. Rejects when it cannot be reached, does not answer in time, or answers too much. */
export function pskCall(call: PskCall): Promise<PskAnswer> {
  const { agent, host, port, method, path, body, signal, timeoutMs = 10_000 } = call;
  return new Promise((resolve, reject) => {
    const sized =
      body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const headers = { ...sized, ...call.headers };
    const outgoing = request({ agent, host, port, method, path, headers, maxHeaderSize: 8192 }, (incoming) => {
      read(incoming, call.mostBytes ?? 1024 * 1024).then(
        (text) => resolve({ status: incoming.statusCode ?? 0, text }),
        reject,
      );
    });
    // By hand: AbortSignal.any() leaves something behind in a signal that lives as long as its process.
    const guard = setTimeout(() => outgoing.destroy(new Error(`no answer within ${String(timeoutMs)} ms`)), timeoutMs);
    const abort = (): void => void outgoing.destroy(new Error("aborted"));
    signal?.addEventListener("abort", abort, { once: true });
    outgoing.on("error", reject);
    outgoing.on("close", () => {
      clearTimeout(guard);
      signal?.removeEventListener("abort", abort);
      // Whatever else ended it, nobody waits for ever; an answer that is complete comes first.
      setImmediate(() => reject(new Error("the connection was closed")));
    });
    if (signal?.aborted === true) abort();
    else outgoing.end(body);
  });
}
