// The lab's own reading of its Proxmox API, over the root socket: bounded, decoded by the caller.
import { request } from "node:http";
import { isRecord } from "./files.ts";

const maxBytes = 16 * 1024 * 1024;

export class RootApi {
  readonly #socketPath: string;
  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** `data` of GET /api2/json + path. @throws Error with status and message. */
  async get(path: string): Promise<unknown> {
    const body = await this.raw(`/api2/json${path}`);
    return isRecord(body) ? body["data"] : undefined;
  }

  /** Rows of a listing; anything that is not an object is left out. */
  async list(path: string): Promise<Record<string, unknown>[]> {
    const data = await this.get(path);
    return Array.isArray(data) ? data.filter(isRecord) : [];
  }

  /** What the lab's API tells nobody else: `GET /lab/state`. */
  async labState(): Promise<Record<string, unknown>> {
    const body = await this.raw("/lab/state");
    return isRecord(body) && isRecord(body["data"]) ? body["data"] : {};
  }

  raw(path: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const call = request(
        {
          socketPath: this.#socketPath,
          path,
          method: "GET",
          headers: { Host: "localhost" },
          timeout: 10_000,
          agent: false,
        },
        (response) => {
          const chunks: Buffer[] = [];
          let size = 0;
          response.on("data", (chunk: Buffer) => {
            size += chunk.length;
            if (size > maxBytes) call.destroy(new Error("response too large"));
            else chunks.push(chunk);
          });
          response.on("error", reject);
          response.on("end", () => {
            const status = response.statusCode ?? 0;
            if (status !== 200) return reject(new Error(`GET ${path}: ${status} ${response.statusMessage ?? ""}`));
            try {
              const value: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"));
              resolve(value);
            } catch (error) {
              reject(error instanceof Error ? error : new Error(String(error)));
            }
          });
        },
      );
      call.on("timeout", () => call.destroy(new Error(`GET ${path}: timed out`)));
      call.on("error", reject);
      call.end();
    });
  }
}

export function textOf(value: unknown): string {
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
}
