import type { Duplex } from "node:stream";
import { callLocalApi } from "../../runtime-agent/src/shared/localApi/client.ts";
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

/** One HTTP exchange, on a connection of its own. Rejects when nobody answers in time or the answer is above 8 MiB. */
export async function exchange(socket: SocketOf, token: string, call: SentinelCall): Promise<SentinelAnswer> {
  const connection = "open" in socket ? await socket.open() : socket.path;
  try {
    const { method, path, body, timeoutMs = 10_000 } = call;
    const answer = await callLocalApi({ socket: connection, token, method, path, body, timeoutMs });
    return { status: answer.status, json: parsed(answer.text) };
  } finally {
    if (typeof connection !== "string") connection.destroy();
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
