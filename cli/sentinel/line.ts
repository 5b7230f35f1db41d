import { request } from "node:http";
import type { Duplex } from "node:stream";
import { CommandFailure } from "../output/failure.ts";

/** A call of an API on a Unix socket. */
export interface SentinelCall {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  /** @default 10 000 ms */
  readonly timeoutMs?: number | undefined;
}

export interface SentinelAnswer {
  readonly status: number;
  /** Parsed JSON; undefined when the answer is none. */
  readonly json: unknown;
}

/** A way to the Sentinel's socket. */
export interface SentinelLine {
  /** @throws SentinelUnreachable when nobody answers */
  readonly call: (call: SentinelCall) => Promise<SentinelAnswer>;
  readonly close: () => void;
}

/** Nobody answers: what can be done without the Sentinel still is. */
export class SentinelUnreachable extends CommandFailure {}

/** Where the socket is: a path of this machine, or a stream that somebody opens to it. */
export type SocketOf = { readonly path: string } | { readonly open: () => Promise<Duplex> };

const mostBytes = 8 * 1024 * 1024;

/** One HTTP exchange, on a connection of its own. Rejects when nobody answers in time or the answer is above 8 MiB. */
export async function exchange(socket: SocketOf, token: string, call: SentinelCall): Promise<SentinelAnswer> {
  const text = call.body === undefined ? undefined : JSON.stringify(call.body);
  const stream = "open" in socket ? await socket.open() : undefined;
  try {
    return await new Promise<SentinelAnswer>((resolve, reject) => {
      const outgoing = request(
        {
          // With an agent of its own, Node would not ask for the stream.
          ...("path" in socket ? { socketPath: socket.path, agent: false } : {}),
          ...(stream === undefined ? {} : { createConnection: () => stream }),
          ...{ host: "sentinel", path: call.path, method: call.method },
          signal: AbortSignal.timeout(call.timeoutMs ?? 10_000),
          headers: {
            authorization: `Bearer ${token}`,
            connection: "close",
            ...(text === undefined
              ? {}
              : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
          },
        },
        (incoming) => {
          const chunks: Buffer[] = [];
          let size = 0;
          incoming.on("data", (chunk: Buffer) => {
            size += chunk.length;
            chunks.push(chunk);
            if (size > mostBytes) outgoing.destroy(new Error("the answer is above 8 MiB"));
          });
          incoming.on("error", reject);
          incoming.on("end", () => {
            resolve({ status: incoming.statusCode ?? 0, json: parsed(Buffer.concat(chunks).toString("utf8")) });
          });
        },
      );
      outgoing.on("error", reject);
      outgoing.end(text);
    });
  } finally {
    stream?.destroy();
  }
}

function parsed(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch {
    return undefined;
  }
}
