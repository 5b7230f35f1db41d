/** A small client of the simulated host for tests: token, ticket or root socket, and waiting for tasks. */
import { mkdtempSync, readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ProxmoxOptions, type RunningProxmox, startProxmox } from "../../lab/proxmox/index.ts";

export interface Reply {
  readonly status: number;
  readonly message: string;
  readonly data: unknown;
  readonly errors: Record<string, string>;
}

export interface CallOptions {
  readonly root?: boolean;
  readonly token?: string;
  readonly headers?: Record<string, string>;
}

export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), "hive-lab-"));
}

export class LabClient {
  readonly pve: Pick<RunningProxmox, "port" | "caCertFile" | "tokenFile" | "rootSocket">;
  readonly #token: string;
  readonly #ca: string;

  constructor(pve: Pick<RunningProxmox, "port" | "caCertFile" | "tokenFile" | "rootSocket">) {
    this.pve = pve;
    this.#token = readFileSync(pve.tokenFile, "utf8").trim();
    this.#ca = readFileSync(pve.caCertFile, "utf8");
  }

  call(
    method: string,
    path: string,
    params: Record<string, string | number> = {},
    options: CallOptions = {},
  ): Promise<Reply> {
    const form = new URLSearchParams(
      Object.entries(params).map(([key, value]): [string, string] => [key, String(value)]),
    ).toString();
    const inQuery = method === "GET" || method === "DELETE";
    const target = `/api2/json${path}${inQuery && form !== "" ? `?${form}` : ""}`;
    const headers: Record<string, string> = { ...options.headers };
    if (!options.root && options.headers === undefined)
      headers["authorization"] = `PVEAPIToken=${options.token ?? this.#token}`;
    if (!inQuery) headers["content-type"] = "application/x-www-form-urlencoded";
    return new Promise((resolve, reject) => {
      const common = { method, path: target, headers };
      const request = options.root
        ? httpRequest({ ...common, socketPath: this.pve.rootSocket, agent: false })
        : httpsRequest({ ...common, host: "127.0.0.1", port: this.pve.port, ca: this.#ca, agent: false });
      request.on("error", reject);
      request.on("response", (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const body: { data?: unknown; message?: string; errors?: Record<string, string> } = JSON.parse(
            Buffer.concat(chunks).toString("utf8"),
          );
          resolve({
            status: response.statusCode ?? 0,
            message: (body.message ?? "").trim(),
            data: body.data,
            errors: body.errors ?? {},
          });
        });
      });
      request.end(inQuery ? undefined : form);
    });
  }

  /** Calls, expects success, and waits for the task when there is one; returns the task's exit status or "OK". */
  async run(
    method: string,
    path: string,
    params: Record<string, string | number> = {},
    options: CallOptions = {},
  ): Promise<string> {
    const reply = await this.call(method, path, params, options);
    if (reply.status !== 200)
      throw new Error(`${method} ${path}: ${reply.status} ${reply.message} ${JSON.stringify(reply.errors)}`);
    return typeof reply.data === "string" && reply.data.startsWith("UPID:") ? this.wait(reply.data) : "OK";
  }

  async wait(upid: string): Promise<string> {
    for (let n = 0; n < 2000; n += 1) {
      const { data } = await this.call(
        "GET",
        `/nodes/pve/tasks/${encodeURIComponent(upid)}/status`,
        {},
        { root: true },
      );
      const task = record(data);
      if (task["status"] === "stopped") return String(task["exitstatus"]);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(`task ${upid} does not end`);
  }
}

export function record(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error(`not an object: ${JSON.stringify(value)}`);
  return { ...value };
}

export function rows(value: unknown): Record<string, unknown>[] {
  if (!Array.isArray(value)) throw new Error(`not a list: ${JSON.stringify(value)}`);
  return value.map(record);
}

/** A running host with a client, closed by the caller. */
export async function lab(
  options: Partial<ProxmoxOptions> = {},
): Promise<{ client: LabClient; pve: RunningProxmox; stateDir: string }> {
  const stateDir = options.stateDir ?? temporaryDirectory();
  const pve = await startProxmox({ taskDelayMs: 5, ...options, stateDir });
  return { client: new LabClient(pve), pve, stateDir };
}
