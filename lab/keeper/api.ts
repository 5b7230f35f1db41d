// Speaks with the lab's Keeper as its services and the page do: HTTP on its Unix socket, with a token.
import { request } from "node:http";
import { join } from "node:path";
import { readIfPresent } from "../host/files.ts";

export interface KeeperAnswer {
  readonly status: number;
  /** Parsed JSON; undefined when the answer is not JSON. */
  readonly json: unknown;
}

const mostBytes = 4 * 1024 * 1024;

export class KeeperApi {
  readonly #socket: string;
  readonly #token: string;

  constructor(runtime: string, token: string) {
    this.#socket = join(runtime, "api.sock");
    this.#token = token;
  }

  /** With the administrator's token of that folder; undefined while there is none. */
  static admin(runtime: string): KeeperApi | undefined {
    const token = readIfPresent(join(runtime, "api.token"))?.trim();
    return token === undefined || token === "" ? undefined : new KeeperApi(runtime, token);
  }

  get(path: string, timeoutMs = 2000): Promise<KeeperAnswer> {
    return this.call("GET", path, undefined, timeoutMs);
  }

  /** Rejects when nobody answers in time or the answer is above 4 MiB. */
  call(
    method: "GET" | "POST" | "PUT" | "DELETE",
    path: string,
    body?: unknown,
    timeoutMs = 5000,
  ): Promise<KeeperAnswer> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          ...{ socketPath: this.#socket, path, method, agent: false, signal: AbortSignal.timeout(timeoutMs) },
          headers: {
            authorization: `Bearer ${this.#token}`,
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
            if (size > mostBytes) outgoing.destroy(new Error("the answer is above 4 MiB"));
          });
          incoming.on("error", reject);
          incoming.on("end", () =>
            resolve({ status: incoming.statusCode ?? 0, json: parsed(Buffer.concat(chunks).toString("utf8")) }),
          );
        },
      );
      outgoing.on("error", reject);
      outgoing.end(text);
    });
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
