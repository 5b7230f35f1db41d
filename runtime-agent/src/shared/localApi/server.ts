/**
 * HTTP/1.1 on a Unix socket, every request with a bearer token, everything a caller sends bounded.
 *
 * The socket is open to every user of the machine (0666): services run under users of their own, and who may do what is
 * decided by the token alone, of which no route is free. A mode would know only root and one group.
 */
import { chmod, mkdir, unlink } from "node:fs/promises";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { Socket } from "node:net";
import { connect } from "node:net";
import path from "node:path";
import { isShallow } from "../../../../components/shared/signals/shallow.ts";
import { findRoute } from "./router.ts";
import { adminToken, recogniser } from "./tokens.ts";
import type { ApiReply, LocalApi, LocalApiOptions } from "./types.ts";
import { ApiError } from "./types.ts";

async function readBody(request: IncomingMessage, most: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    size += chunk.length;
    if (size > most) {
      throw new ApiError(413, "the body is too large", { limit: `${String(most)} bytes`, fix: "Send less." });
    }
    chunks.push(chunk);
  }
  if (size === 0) return undefined;
  const text = Buffer.concat(chunks).toString("utf8");
  if (!isShallow(text)) throw new ApiError(400, "the body is nested too deeply", { fix: "Make it flatter." });
  try {
    const body: unknown = JSON.parse(text);
    return body;
  } catch {
    throw new ApiError(400, "the body is not JSON", { fix: "Send JSON in UTF-8." });
  }
}

function answer(response: ServerResponse, reply: ApiReply, headers: Readonly<Record<string, string>> = {}): void {
  if (response.headersSent || response.destroyed) return;
  const [type, text] =
    "json" in reply ? ["application/json", `${JSON.stringify(reply.json)}\n`] : [reply.contentType, reply.text];
  const body = Buffer.from(text, "utf8");
  response.writeHead(reply.status ?? 200, {
    "content-type": type,
    "content-length": body.length,
    "cache-control": "no-store",
    ...headers,
  });
  response.end(body);
}

function refusal(error: ApiError): ApiReply {
  const { message, property, limit, fix } = error;
  return { status: error.status, json: { error: message, property, limit, fix } };
}

/** Removes a socket that nobody listens on; throws when somebody does. */
async function clearSocket(socket: string): Promise<void> {
  const answered = await new Promise<boolean>((resolve) => {
    const probe = connect(socket);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
  if (answered) throw new Error(`${socket} is in use: another agent listens there`);
  await unlink(socket).catch(() => undefined);
}

function listening(server: Server, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => {
      server.off("error", reject);
      resolve();
    });
    listen();
  });
}

/**
 * Counts the connections of each service: one that leaks them, or means harm, leaves room for the others. False for one
 * too many.
 */
function connectionShare(most: number): (service: string, socket: Socket) => boolean {
  const held = new Map<string, Set<Socket>>();
  return (service, socket) => {
    const its = held.get(service) ?? new Set();
    held.set(service, its);
    if (its.has(socket)) return true;
    if (its.size >= most) return false;
    its.add(socket);
    socket.once("close", () => its.delete(socket));
    return true;
  };
}

/**
 * Bounds the connections of a server. One too many costs the oldest that has shown no token yet, not the newcomer: who
 * may call shows his at once, so nobody without one can keep him out by holding connections open.
 * @returns to be told of a connection that has shown a token
 */
function boundConnections(server: Server, most: number): (socket: Socket) => void {
  const known = new Set<Socket>();
  const silent = new Set<Socket>();
  server.on("connection", (socket) => {
    silent.add(socket);
    socket.once("close", () => {
      silent.delete(socket);
      known.delete(socket);
    });
    if (silent.size + known.size <= most) return;
    const [oldest = socket] = silent;
    silent.delete(oldest);
    oldest.destroy();
  });
  return (socket) => {
    if (silent.delete(socket)) known.add(socket);
  };
}

/** Starts the API. Rejects when the socket's path is too long, in use, or cannot be made. */
export async function startLocalApi(options: LocalApiOptions): Promise<LocalApi> {
  const { socket, tcp, routes } = options;
  const mostBody = options.maxBodyBytes ?? 64 * 1024;
  if (Buffer.byteLength(socket) > 107) throw new RangeError(`${socket}: a socket's path has at most 107 bytes`);
  await mkdir(path.dirname(socket), { recursive: true, mode: 0o755 });
  const admin = await adminToken(options.tokenFile);
  let recognise = recogniser(admin, options.serviceTokenSha256 ?? {});
  const mostConnections = options.maxConnections ?? 128;
  const share = connectionShare(options.maxConnectionsPerService ?? Math.max(1, Math.floor(mostConnections / 4)));

  async function serve(
    request: IncomingMessage,
    response: ServerResponse,
    hasToken: (socket: Socket) => void,
  ): Promise<void> {
    const caller = recognise(request.headers.authorization);
    if (caller === undefined) {
      const fix = "Send Authorization: Bearer and the token of the agent's token file.";
      return answer(response, refusal(new ApiError(401, "no valid token", { fix })), {
        "www-authenticate": "Bearer",
        connection: "close",
      });
    }
    if (caller.service !== undefined && !share(caller.service, request.socket)) {
      const error = new ApiError(429, "too many connections of this service", { fix: "Close some." });
      return answer(response, refusal(error), { connection: "close" });
    }
    hasToken(request.socket);
    const target = request.url ?? "/";
    if (!URL.canParse(target, "http://agent")) return answer(response, refusal(new ApiError(400, "no such address")));
    const url = new URL(target, "http://agent");
    const found = findRoute(routes, request.method ?? "GET", url.pathname);
    if (found.kind === "unknown") return answer(response, refusal(new ApiError(404, "no such route")));
    if (found.kind === "wrongMethod") {
      const error = new ApiError(405, "no such method here", { limit: found.allow });
      return answer(response, refusal(error), { allow: found.allow });
    }
    if (found.route.role === "admin" && caller.role !== "admin") {
      return answer(response, refusal(new ApiError(403, "for the administrator only")));
    }
    const hangUp = new AbortController();
    response.once("close", () => hangUp.abort());
    const body = await readBody(request, mostBody);
    const { params } = found;
    answer(
      response,
      await found.route.handle({ caller, query: url.searchParams, params, body, signal: hangUp.signal }),
    );
  }

  const onRequest = (hasToken: (socket: Socket) => void) => (request: IncomingMessage, response: ServerResponse) => {
    serve(request, response, hasToken).catch((error: unknown) => {
      // Whatever of the body is still to come is not worth reading: the connection ends with the answer.
      const close = { connection: "close" };
      if (error instanceof ApiError) return answer(response, refusal(error), error.status === 413 ? close : {});
      if (request.destroyed && !request.complete) return;
      options.onError?.(error, `${request.method ?? ""} ${(request.url ?? "").split("?", 1)[0] ?? ""}`);
      answer(response, { status: 500, json: { error: "the agent failed; its log says why" } }, close);
    });
  };

  function newServer(): Server {
    const requestTimeout = options.requestTimeoutMs ?? 10_000;
    const server = createServer({
      requestTimeout,
      headersTimeout: Math.min(5000, requestTimeout),
      keepAliveTimeout: 60_000,
      // Each look wakes an agent that has nothing else to do: a slow client may stay this much longer.
      connectionsCheckingInterval: Math.min(5000, requestTimeout),
      maxHeaderSize: 8192,
      highWaterMark: 16 * 1024,
    });
    server.on("request", onRequest(boundConnections(server, mostConnections)));
    server.on("clientError", (_error, stream) => {
      if (stream.writable) stream.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
      else stream.destroy();
    });
    return server;
  }

  const servers: Server[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(
      servers.map((server) => {
        const closed = new Promise<void>((resolve) => server.close(() => resolve()));
        server.closeAllConnections();
        return closed;
      }),
    );
  };
  const setServiceTokens: LocalApi["setServiceTokens"] = (digests) => (recognise = recogniser(admin, digests));
  await clearSocket(socket);
  const local = newServer();
  await listening(local, () => local.listen(socket));
  servers.push(local);
  try {
    await chmod(socket, 0o666);
    if (tcp !== undefined) {
      const loopback = newServer();
      await listening(loopback, () => loopback.listen(tcp.port, tcp.host));
      servers.push(loopback);
    }
  } catch (error) {
    await close();
    throw error;
  }
  const address = servers[1]?.address();
  return { port: typeof address === "object" && address !== null ? address.port : undefined, setServiceTokens, close };
}
