/** Proxmox VE's API by token: one call, its deadline, its retries, and tasks awaited to their end. */
import { Agent, request } from "node:https";
import type { Clock } from "../clock.ts";
import { urlAddress } from "../urlAddress.ts";
import { PveError } from "./errors.ts";
import { pinnedAgent } from "./pinnedAgent.ts";

export interface PveOptions {
  /** For example `https://127.0.0.1:8006`. */
  readonly url: string;
  /** `user@realm!name=uuid`. */
  readonly token: string;
  /** How the certificate is known: its SHA-256 fingerprint, or the authority that signed it (PEM). */
  readonly trust: { readonly fingerprint: string } | { readonly ca: string };
  readonly node: string;
  readonly clock: Pick<Clock, "monotonicMs" | "sleep">;
  /** For one call, retries included, ms. @default 10 000 */
  readonly deadlineMs?: number;
  /** Of calls that may be repeated. @default 3 */
  readonly retries?: number;
  /** First wait before a retry, ms; it doubles, and half of it is chance. @default 200 */
  readonly retryMs?: number;
  /** In [0, 1). @default Math.random */
  readonly random?: () => number;
}

export type Method = "GET" | "POST" | "PUT" | "DELETE";
export type Params = Readonly<Record<string, string | number>>;

export interface PveClient {
  /** `data` of the answer. GET and PUT are repeated when Proxmox fails (5xx, no connection); POST and DELETE never. */
  call(method: Method, path: string, params?: Params): Promise<unknown>;
  /** A call that starts a task, awaited to its end; throws `PveError` of kind `task` with the reason of the task. */
  run(method: Method, path: string, params?: Params, taskMs?: number): Promise<void>;
  /** Path of this node's `rest`. */
  node(rest: string): string;
  close(): void;
}

const mostBodyBytes = 8 * 1024 * 1024;
const upid = /^UPID:[\w.-]{1,64}:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:[^:\s]{1,64}:[^:\s]{0,128}:[^:\s]{1,128}:$/;

interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly body: string;
}

export function pveClient(options: PveOptions): PveClient {
  const { clock, token, trust } = options;
  const { host, port } = urlAddress(options.url);
  const agent =
    "fingerprint" in trust
      ? pinnedAgent({ host, port, fingerprint: trust.fingerprint })
      : new Agent({ keepAlive: true, maxSockets: 4, maxFreeSockets: 2, ca: trust.ca });
  const deadlineMs = options.deadlineMs ?? 10_000;
  const random = options.random ?? Math.random;

  function once(method: Method, path: string, params: Params, leftMs: number): Promise<Answer> {
    const where = `${method} ${path}`;
    const form = new URLSearchParams(
      Object.entries(params).map(([key, value]): [string, string] => [key, String(value)]),
    ).toString();
    const inQuery = method === "GET" || method === "DELETE";
    return new Promise((resolve, reject) => {
      const call = request({
        agent,
        host,
        port,
        method,
        path: `/api2/json${path}${inQuery && form !== "" ? `?${form}` : ""}`,
        headers: {
          authorization: `PVEAPIToken=${token}`,
          ...(inQuery ? {} : { "content-type": "application/x-www-form-urlencoded" }),
          ...(inQuery ? {} : { "content-length": Buffer.byteLength(form) }),
        },
      });
      const fail = (error: PveError): void => {
        clearTimeout(guard);
        call.destroy();
        reject(error);
      };
      const guard = setTimeout(() => fail(new PveError("timeout", where, "no answer in time")), Math.max(1, leftMs));
      call.on("error", (error) =>
        fail(
          error instanceof PveError
            ? error
            : new PveError("unreachable", where, "code" in error ? String(error.code) : "connection failed"),
        ),
      );
      call.on("response", (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > mostBodyBytes) fail(new PveError("nonsense", where, "the answer is too long"));
          else chunks.push(chunk);
        });
        response.on("aborted", () => fail(new PveError("unreachable", where, "the connection ended early")));
        response.on("error", () => fail(new PveError("unreachable", where, "the connection ended early")));
        response.on("end", () => {
          clearTimeout(guard);
          const reason = (response.statusMessage ?? "").trim();
          resolve({ status: response.statusCode ?? 0, reason, body: Buffer.concat(chunks).toString("utf8") });
        });
      });
      call.end(inQuery ? undefined : form);
    });
  }

  function judge(where: string, { status, reason, body }: Answer): unknown {
    if (status === 401) throw new PveError("unauthorised", where, "the token is not accepted", status);
    if (status === 403) throw new PveError("forbidden", where, short(reason), status);
    const parsed = parseBody(body);
    if (status >= 200 && status < 300) {
      if (parsed === undefined || !("data" in parsed)) throw new PveError("nonsense", where, "no JSON", status);
      return parsed.data;
    }
    const errors = parsed?.errors;
    const details = typeof errors === "object" && errors !== null ? ` ${JSON.stringify(errors)}` : "";
    throw new PveError("refused", where, short(`${reason}${details}`), status);
  }

  async function call(method: Method, path: string, params: Params = {}): Promise<unknown> {
    const where = `${method} ${path}`;
    const repeatable = method === "GET" || method === "PUT";
    const endMs = clock.monotonicMs() + deadlineMs;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return judge(where, await once(method, path, params, endMs - clock.monotonicMs()));
      } catch (error) {
        if (!(error instanceof PveError)) throw error;
        const passing = error.kind === "unreachable" || (error.kind === "refused" && (error.status ?? 0) >= 500);
        if (!repeatable || !passing || attempt >= (options.retries ?? 3)) throw error;
        const waitMs = (options.retryMs ?? 200) * 2 ** attempt * (0.5 + random() / 2);
        if (clock.monotonicMs() + waitMs >= endMs) throw error;
        await clock.sleep(waitMs);
      }
    }
  }

  const node = (rest: string): string => `/nodes/${options.node}${rest}`;

  async function wait(task: string, taskMs: number): Promise<void> {
    const endMs = clock.monotonicMs() + taskMs;
    // A task runs, and is kept, on the node that its identifier names.
    const path = `/nodes/${task.split(":")[1] ?? options.node}/tasks/${encodeURIComponent(task)}/status`;
    for (let pauseMs = 50; ; pauseMs = Math.min(1000, pauseMs * 1.5)) {
      const status = field(await call("GET", path), "status");
      if (status.status === "stopped") {
        const exit = typeof status.exitstatus === "string" ? status.exitstatus : "ended without a status";
        // "WARNINGS: 2" is how a task ends that did its work and had something to say.
        if (exit === "OK" || exit.startsWith("WARNINGS")) return;
        throw new PveError("task", taskName(task), short(exit));
      }
      if (clock.monotonicMs() + pauseMs > endMs) throw new PveError("timeout", taskName(task), "the task does not end");
      await clock.sleep(pauseMs);
    }
  }

  return {
    call,
    node,
    async run(method, path, params = {}, taskMs = 60_000) {
      const data = await call(method, path, params);
      if (data === null) return;
      if (typeof data !== "string" || !upid.test(data))
        throw new PveError("nonsense", `${method} ${path}`, "no task identifier");
      await wait(data, taskMs);
    },
    close: () => agent.destroy(),
  };
}

const short = (text: string): string => text.trim().slice(0, 400);
const taskName = (task: string): string => task.split(":").slice(5, 7).join(" ");

function parseBody(body: string): { data?: unknown; errors?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function field(data: unknown, name: string): { status?: unknown; exitstatus?: unknown } {
  if (typeof data === "object" && data !== null && name in data) return data;
  throw new PveError("nonsense", "task status", `no field ${name}`);
}
