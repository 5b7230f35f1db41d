import http from "node:http";
import https from "node:https";
import type { IncomingHttpHeaders } from "node:http";
import { ProcessError, codeOf, textOf } from "./errors.ts";

/** Longest answer that is read, bytes. */
const longestBody = 4 * 1024 * 1024;

export interface HttpCall {
  /** `http://127.0.0.1:8000`, or the host part alone matters when `socketPath` is given. */
  readonly url: URL;
  /** Unix socket to speak over instead of the URL's host. */
  readonly socketPath?: string;
  readonly method: "GET" | "POST";
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as a bearer token; it never appears in an error. */
  readonly token?: string | undefined;
  /** For the whole exchange, connecting included. */
  readonly deadlineMs: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/**
 * One request over a connection of its own. Redirects are not followed: an answer of 3xx comes back as it is.
 * @throws ProcessError `absent` when nobody listens, `deadline`, or `failed`
 */
export async function callHttp(call: HttpCall): Promise<HttpAnswer> {
  const where = `${call.method} ${call.socketPath ?? call.url.origin}${call.url.pathname}`;
  const sent = call.body === undefined ? undefined : JSON.stringify(call.body);
  const signal = AbortSignal.timeout(Math.max(1, Math.ceil(call.deadlineMs)));
  const options: https.RequestOptions = {
    method: call.method,
    agent: false,
    signal,
    headers: {
      accept: "application/json",
      connection: "close",
      ...(sent === undefined
        ? call.method === "POST"
          ? { "content-length": 0 }
          : {}
        : { "content-type": "application/json", "content-length": Buffer.byteLength(sent) }),
      ...(call.token === undefined ? {} : { authorization: `Bearer ${call.token}` }),
    },
    ...(call.socketPath === undefined ? {} : { socketPath: call.socketPath }),
  };
  try {
    return await new Promise<HttpAnswer>((resolve, reject) => {
      const request = (call.url.protocol === "https:" ? https : http).request(call.url, options, (response) => {
        const parts: Buffer[] = [];
        let length = 0;
        response.on("data", (part: Buffer) => {
          length += part.length;
          parts.push(part);
          if (length > longestBody)
            request.destroy(
              new ProcessError("failed", `${where}: the answer is longer than ${String(longestBody)} bytes`),
            );
        });
        response.on("error", reject);
        response.on("aborted", () => reject(new ProcessError("failed", `${where}: the answer was cut off`)));
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: Buffer.concat(parts).toString("utf8"),
          }),
        );
      });
      request.on("error", reject);
      request.end(sent);
    });
  } catch (error) {
    if (error instanceof ProcessError) throw error;
    if (signal.aborted)
      throw new ProcessError("deadline", `${where}: no answer within ${String(call.deadlineMs)} ms`, { cause: error });
    const gone = ["ECONNREFUSED", "ENOENT", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND"].includes(codeOf(error) ?? "");
    throw new ProcessError(gone ? "absent" : "failed", `${where}: ${textOf(error)}`, { cause: error });
  }
}

/** The JSON of an answer, as unknown data. @throws ProcessError `failed` when it is no JSON */
export function jsonOf(answer: HttpAnswer, where: string): unknown {
  try {
    return JSON.parse(answer.text) as unknown;
  } catch (error) {
    throw new ProcessError("failed", `${where} did not answer with JSON (HTTP ${String(answer.status)})`, {
      cause: error,
    });
  }
}

/** The beginning of an error answer, in one line, for a message. */
export function shortBody(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}
