/** One HTTP exchange over a connection of its own, with a deadline for all of it. Redirects are not followed. */
import http from "node:http";
import https from "node:https";
import type { IncomingHttpHeaders } from "node:http";
import { onDeadline } from "./deadline.ts";

export interface Exchange {
  readonly url: string | URL;
  readonly method: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly deadlineMs: number;
  /** Ends it early. */
  readonly stop?: AbortSignal | undefined;
  /** Of the answer; what comes after is not read. @default 1 MiB */
  readonly mostBytes?: number;
  /** PEM of the authority to believe. @default Node's own list */
  readonly ca?: string | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** Why there was no answer, in words for people. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

const codes: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  EHOSTUNREACH: "host unreachable",
  ENETUNREACH: "network unreachable",
  ENOTFOUND: "no such name",
  EAI_AGAIN: "the name server does not answer",
  CERT_HAS_EXPIRED: "its certificate has expired",
};

/** What an error of a socket says to people. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? String(error.code) : "";
  return codes[code] ?? (code === "" ? error.message.slice(0, 200) : code);
}

/** @throws NoAnswer */
export function exchange(call: Exchange): Promise<Answer> {
  const url = new URL(call.url);
  const mostBytes = call.mostBytes ?? 1024 * 1024;
  const { body } = call;
  return new Promise((resolve, reject) => {
    const request = (url.protocol === "https:" ? https : http).request(url, {
      method: call.method,
      agent: false,
      ...(call.ca === undefined ? {} : { ca: call.ca }),
      headers: {
        connection: "close",
        ...(body === undefined ? {} : { "content-length": Buffer.byteLength(body) }),
        ...call.headers,
      },
    });
    const fail = (why: string): void => {
      callOff();
      request.destroy();
      reject(new NoAnswer(why));
    };
    const callOff = onDeadline(call.deadlineMs, call.stop, fail);
    request.on("error", (error) => fail(wordsOf(error)));
    request.on("response", (response) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      const end = (): void => {
        callOff();
        request.destroy();
        const text = Buffer.concat(parts).toString("utf8");
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
      };
      response.on("data", (part: Buffer) => {
        parts.push(part.subarray(0, mostBytes - bytes));
        bytes += part.length;
        if (bytes >= mostBytes) end();
      });
      response.on("aborted", () => fail("the answer was cut off"));
      response.on("error", () => fail("the answer was cut off"));
      response.on("end", end);
    });
    request.end(body);
  });
}
