import { request } from "node:http";
import type { Duplex } from "node:stream";

export interface ApiCall {
  /** Path of the socket, or a connection to it that somebody opened; it is used for this call alone. */
  readonly socket: string | Duplex;
  readonly token: string;
  readonly method?: "GET" | "POST" | "PUT" | "DELETE";
  /** With its query, for example `/decisions?since=12`. */
  readonly path: string;
  readonly body?: unknown;
  /** @default 5000 ms */
  readonly timeoutMs?: number;
}

export interface ApiAnswer {
  readonly status: number;
  readonly text: string;
}

const mostBytes = 8 * 1024 * 1024;

/** Calls an agent's local API. Rejects when nobody answers in time or the answer is above 8 MiB. */
export function callLocalApi(call: ApiCall): Promise<ApiAnswer> {
  const { socket } = call;
  const body = call.body === undefined ? undefined : JSON.stringify(call.body);
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        // With an agent of its own, Node would not ask for the connection.
        ...(typeof socket === "string" ? { socketPath: socket, agent: false } : { createConnection: () => socket }),
        path: call.path,
        method: call.method ?? "GET",
        signal: AbortSignal.timeout(call.timeoutMs ?? 5000),
        headers: {
          authorization: `Bearer ${call.token}`,
          connection: "close",
          ...(body === undefined
            ? {}
            : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
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
        incoming.on("end", () =>
          resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") }),
        );
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
