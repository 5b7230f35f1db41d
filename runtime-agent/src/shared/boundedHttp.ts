/**
 * A small HTTP/1.1 listener for machines that know each other: over TLS with a key for each peer, or on a Unix socket.
 * Whatever a caller sends, and however slowly, is bounded: headers, body, time, connections.
 */
import { chmod, mkdir, unlink } from "node:fs/promises";
import { createServer as createPlainServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import { dirname } from "node:path";
import { pskHolds, pskIdentity, pskServer, type PskKeys } from "./pskTls.ts";

export interface BoundedRequest {
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Buffer;
  /** By whose key the caller came; undefined on a Unix socket. */
  readonly identity: string | undefined;
}

export interface BoundedReply {
  readonly status: number;
  /** Left out for an answer without a body. */
  readonly json?: unknown;
}

export interface BoundedOptions {
  readonly handle: (request: BoundedRequest) => Promise<BoundedReply>;
  /** Called with what a handler threw. */
  readonly onError: (error: unknown, where: string) => void;
  /** Longest body, bytes. */
  readonly mostBodyBytes: number;
  /** @default 32 */
  readonly mostConnections?: number;
  /** Connections by one peer's key; the oldest makes room. @default no bound but that of all */
  readonly mostOfOne?: number;
  /** For a whole request, ms. @default 10 000 */
  readonly requestMs?: number;
}

export interface BoundedListener {
  /** Undefined on a Unix socket. */
  readonly port: number | undefined;
  /** Ends the connections whose key is void by now. */
  cutOff(): void;
  close(): Promise<void>;
}

async function readBody(request: IncomingMessage, most: number): Promise<Buffer | undefined> {
  const announced = Number(request.headers["content-length"] ?? 0);
  if (announced > most) return undefined;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    size += chunk.length;
    if (size > most) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function answer(response: ServerResponse, { status, json }: BoundedReply, close = false): void {
  if (response.headersSent || response.destroyed) return;
  const text = json === undefined ? undefined : Buffer.from(`${JSON.stringify(json)}\n`, "utf8");
  response.writeHead(status, {
    ...(text === undefined ? {} : { "content-type": "application/json", "content-length": text.length }),
    "cache-control": "no-store",
    ...(status === 503 ? { "retry-after": "5" } : {}),
    ...(close ? { connection: "close" } : {}),
  });
  response.end(text);
}

/** Whether whoever opened a connection may still use it. */
type Holds = (socket: Socket) => boolean;

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  options: BoundedOptions,
  holds: Holds,
): Promise<void> {
  const target = request.url ?? "/";
  if (!target.startsWith("/") || !URL.canParse(target, "http://runner")) {
    return answer(response, { status: 400, json: { error: "no such address" } }, true);
  }
  const url = new URL(target, "http://runner");
  const body = await readBody(request, options.mostBodyBytes);
  if (body === undefined) {
    const error = `a body has at most ${String(options.mostBodyBytes)} bytes`;
    return answer(response, { status: 413, json: { error } }, true);
  }
  const { headers, method = "GET", socket } = request;
  if (!holds(socket)) return void socket.destroy();
  const identity = pskIdentity(socket);
  const { pathname: path, searchParams: query } = url;
  const reply = await options.handle({ method, path, query, headers, body, identity });
  answer(response, reply, !holds(socket));
}

/**
 * Bounds the connections. One too many costs the oldest, not the newcomer: of those that have not shown their key yet, and
 * without TLS of all. Who has something to say says it at once, and nobody who says nothing keeps him out.
 */
export function boundConnections(
  server: Server,
  { mostConnections: most = 32, mostOfOne = most }: Pick<BoundedOptions, "mostConnections" | "mostOfOne">,
  secure: boolean,
): void {
  const all = new Set<Socket>();
  const strangers = new Map<string, Socket>();
  const nameOf = ({ remoteAddress = "", remotePort = 0 }: Socket): string => `${remoteAddress} ${String(remotePort)}`;
  server.on("connection", (socket: Socket) => {
    // TLS tells of each connection a second time, as itself.
    if (secure && "encrypted" in socket) return;
    const name = nameOf(socket);
    all.add(socket);
    if (secure) strangers.set(name, socket);
    socket.once("close", () => {
      all.delete(socket);
      if (strangers.get(name) === socket) strangers.delete(name);
    });
    if (all.size <= most) return;
    const [oldest = socket] = secure ? strangers.values() : all;
    oldest.destroy();
  });
  server.on("secureConnection", (socket: Socket) => {
    strangers.delete(nameOf(socket));
    const [oldest, ...others] = openedBy(server, pskIdentity(socket));
    if (others.length >= mostOfOne) oldest?.destroy();
  });
}

/** Connections past their handshake, by server; the oldest first. */
const opened = new WeakMap<Server, Set<Socket>>();

function remember(server: Server, holds: Holds): void {
  const sockets = new Set<Socket>();
  opened.set(server, sockets);
  server.on("secureConnection", (socket: Socket) => {
    // Its key was withdrawn in the middle of the handshake.
    if (!holds(socket)) return void socket.destroy();
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
}

function openedBy(server: Server, identity: string | undefined): readonly Socket[] {
  return [...(opened.get(server) ?? [])].filter((socket) => pskIdentity(socket) === identity);
}

function prepare(server: Server, options: BoundedOptions, keyOf?: PskKeys): Holds {
  const holds: Holds = (socket) => keyOf === undefined || pskHolds(socket, keyOf);
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    serve(request, response, options, holds).catch((error: unknown) => {
      if (request.destroyed && !request.complete) return;
      options.onError(error, `${request.method ?? ""} ${(request.url ?? "").split("?", 1)[0] ?? ""}`);
      answer(response, { status: 500, json: { error: "it failed; the log says why" } }, true);
    });
  });
  server.on("clientError", (_error, stream) => {
    if (stream.writable) stream.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    else stream.destroy();
  });
  server.on("tlsClientError", (_error: Error, stream: Socket) => stream.destroy());
  remember(server, holds);
  boundConnections(server, options, keyOf !== undefined);
  return holds;
}

function limits({ requestMs = 10_000 }: BoundedOptions) {
  return {
    requestTimeout: requestMs,
    headersTimeout: Math.min(5_000, requestMs),
    keepAliveTimeout: 60_000,
    connectionsCheckingInterval: Math.min(5_000, requestMs),
    maxHeaderSize: 8192,
    highWaterMark: 16 * 1024,
  };
}

async function listening(server: Server, holds: Holds, listen: () => void): Promise<BoundedListener> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => {
      server.off("error", reject);
      resolve();
    });
    listen();
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : undefined,
    cutOff() {
      for (const socket of opened.get(server) ?? []) if (!holds(socket)) socket.destroy();
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Listens for peers that have a key. */
export async function listenPsk(
  options: BoundedOptions & {
    readonly listen: { readonly host: string; readonly port: number };
    readonly keyOf: PskKeys;
  },
): Promise<BoundedListener> {
  const server = createTlsServer({
    ...limits(options),
    ...pskServer(options.keyOf),
    handshakeTimeout: Math.min(5_000, options.requestMs ?? 5_000),
  });
  const holds = prepare(server, options, options.keyOf);
  return listening(server, holds, () => server.listen(options.listen.port, options.listen.host));
}

/**
 * Listens on a Unix socket that every user of the machine may write to: what may be done there is decided by what is
 * sent. A socket that is in the way is removed: the caller holds the lock of this role.
 */
export async function listenUnix(options: BoundedOptions & { readonly socket: string }): Promise<BoundedListener> {
  const { socket } = options;
  if (Buffer.byteLength(socket) > 107) throw new RangeError(`${socket}: a socket's path has at most 107 bytes`);
  await mkdir(dirname(socket), { recursive: true, mode: 0o755 });
  await unlink(socket).catch(() => undefined);
  const server = createPlainServer(limits(options));
  const holds = prepare(server, options);
  const listener = await listening(server, holds, () => server.listen(socket));
  await chmod(socket, 0o666);
  return listener;
}
