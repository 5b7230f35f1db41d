import { request } from "node:https";
import type { HostConnection } from "../targets/target.ts";

/** The API refused or did not answer. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

export type Row = Readonly<Record<string, unknown>>;

/** Largest answer taken, in bytes. */
const maxBytes = 16 * 1024 * 1024;

/** The Proxmox VE API by token. */
export class ProxmoxApi {
  readonly #connection: HostConnection;
  readonly node: string;

  constructor(connection: HostConnection) {
    this.#connection = connection;
    this.node = connection.nodeName;
  }

  /** Calls a path below `/api2/json` and gives its `data`. @throws ApiError */
  async call(
    method: "GET" | "POST" | "PUT" | "DELETE",
    path: string,
    fields: Readonly<Record<string, string | number>> = {},
  ): Promise<unknown> {
    const { endpoint, apiToken, insecure, caCertificate } = this.#connection;
    const form = new URLSearchParams(
      Object.entries(fields).map(([name, value]): [string, string] => [name, String(value)]),
    );
    const inQuery = (method === "GET" || method === "DELETE") && form.size > 0;
    const url = new URL(`/api2/json${path}${inQuery ? `?${form.toString()}` : ""}`, endpoint);
    const body = inQuery || form.size === 0 ? "" : form.toString();
    return new Promise((done, fail) => {
      const sent = request(
        url,
        {
          method,
          rejectUnauthorized: !insecure,
          ...(caCertificate === undefined ? {} : { ca: caCertificate }),
          headers: {
            authorization: `PVEAPIToken=${apiToken}`,
            ...(body === ""
              ? {}
              : { "content-type": "application/x-www-form-urlencoded", "content-length": Buffer.byteLength(body) }),
          },
          timeout: 15_000,
        },
        (answer) => {
          const chunks: Buffer[] = [];
          let size = 0;
          answer.on("data", (chunk: Buffer) => {
            size += chunk.length;
            if (size > maxBytes) answer.destroy(new Error("the answer is too large"));
            else chunks.push(chunk);
          });
          answer.on("error", (error) => {
            fail(new ApiError(`${method} ${path}: ${error.message}`, 0));
          });
          answer.on("end", () => {
            const status = answer.statusCode ?? 0;
            const text = Buffer.concat(chunks).toString("utf8");
            if (status >= 300) {
              fail(
                new ApiError(
                  `${method} ${path}: ${answer.statusMessage ?? ""} (${String(status)}) ${text.slice(0, 300)}`.trim(),
                  status,
                ),
              );
              return;
            }
            try {
              const content: unknown = JSON.parse(text);
              done(typeof content === "object" && content !== null && "data" in content ? content.data : undefined);
            } catch {
              fail(new ApiError(`${method} ${path}: the answer is not JSON`, status));
            }
          });
        },
      );
      sent.on("timeout", () => sent.destroy(new Error("no answer within 15 s")));
      sent.on("error", (error) => {
        fail(new ApiError(`${method} ${path}: ${error.message}`, 0));
      });
      sent.end(body);
    });
  }

  /** A list of objects; empty when the path answers none. */
  async list(path: string, fields: Readonly<Record<string, string | number>> = {}): Promise<readonly Row[]> {
    const data = await this.call("GET", path, fields);
    return Array.isArray(data) ? data.filter(isRow) : [];
  }

  async record(path: string): Promise<Row> {
    const data = await this.call("GET", path);
    return isRow(data) ? data : {};
  }

  /** Changes something and waits for its task. @throws ApiError when the task fails */
  async change(
    method: "POST" | "PUT" | "DELETE",
    path: string,
    fields: Readonly<Record<string, string | number>> = {},
  ): Promise<void> {
    const data = await this.call(method, path, fields);
    if (typeof data !== "string" || !data.startsWith("UPID:")) return;
    const task = `/nodes/${this.node}/tasks/${encodeURIComponent(data)}/status`;
    for (;;) {
      const status = await this.record(task);
      if (status["status"] === "stopped") {
        const exit = String(status["exitstatus"] ?? "");
        if (exit === "OK" || exit.startsWith("WARNINGS")) return;
        throw new ApiError(`${method} ${path}: task failed: ${exit}`, 500);
      }
      await new Promise((done) => setTimeout(done, 200));
    }
  }
}

function isRow(value: unknown): value is Row {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
