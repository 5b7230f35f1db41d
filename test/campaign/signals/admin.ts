/** The Sentinel's admin API for whoever calls it a hundred thousand times: connections are kept, and may die. */
import { readFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { isRecord } from "../../support/records.ts";

export interface Answer {
  readonly status: number;
  readonly json: Readonly<Record<string, unknown>>;
}

export interface Admin {
  /** The answer; undefined when there was none, and nobody knows whether the call was heard. */
  call(method: "GET" | "POST", path: string, body?: unknown): Promise<Answer | undefined>;
  close(): void;
}

const answerMs = 20_000;

/** @param runtime the Sentinel's folder with `api.sock` and `api.token`, which outlives it */
export async function openAdmin(runtime: string): Promise<Admin> {
  const token = (await readFile(join(runtime, "api.token"), "utf8")).trim();
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const socketPath = join(runtime, "api.sock");
  return {
    call(method, path, body) {
      return new Promise((resolve) => {
        const text = body === undefined ? undefined : JSON.stringify(body);
        const sized =
          text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
        const headers = { authorization: `Bearer ${token}`, ...sized };
        const outgoing = request({ agent, socketPath, method, path, headers, timeout: answerMs }, (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
          incoming.on("error", () => resolve(undefined));
          incoming.on("end", () => {
            const json: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8") || "{}");
            resolve({ status: incoming.statusCode ?? 0, json: isRecord(json) ? json : {} });
          });
        });
        outgoing.on("timeout", () => outgoing.destroy());
        outgoing.on("error", () => resolve(undefined));
        outgoing.on("close", () => resolve(undefined));
        outgoing.end(text);
      });
    },
    close: () => agent.destroy(),
  };
}
