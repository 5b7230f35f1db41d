/** The thin shell: sockets, clocks, files. Every decision is made in core/engine.ts. */
import { randomBytes, randomUUID } from "node:crypto";
import { chmodSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { join, normalize } from "node:path";
import { identify } from "../access/identity.ts";
import { apply, finishDue, type LabResponse } from "../core/engine.ts";
import { PveError } from "../core/errors.ts";
import type { Environment, Router } from "../core/router.ts";
import type { LabState } from "../core/state.ts";
import { runningTasks } from "../core/tasks.ts";
import { readParams } from "./body.ts";
import type { Certificate } from "./certificate.ts";
import type { Fault, Faults } from "./faults.ts";
import type { Journal } from "./journal.ts";
import type { Store } from "./store.ts";

const PREFIX = "/api2/json";
/** Node's timers hold 31 bits of milliseconds. */
const LONGEST_TIMER_MS = 2_000_000_000;

export interface ShellOptions {
  readonly store: Store;
  readonly router: Router;
  readonly journal: Journal;
  readonly faults: Faults;
  readonly hostRoot: string;
  readonly taskDelayMs: number;
  readonly bootDelayMs: number;
}

export interface Shell {
  state(): LabState;
  listen(port: number, certificate: Certificate, rootSocket: string): Promise<{ port: number }>;
  close(): Promise<void>;
}

export function createShell(initial: LabState, options: ShellOptions): Shell {
  let state = initial;
  let timer: NodeJS.Timeout | undefined;
  let extraTaskMs = 0;
  const servers: Server[] = [];
  const inside = (path: string): string => join(options.hostRoot, normalize(`/${path}`));
  const environment = (): Environment => ({
    nowMs: Date.now(),
    taskDelayMs: options.taskDelayMs + extraTaskMs,
    bootDelayMs: options.bootDelayMs,
    uuid: randomUUID,
    randomHex: (bytes) => randomBytes(bytes).toString("hex").toUpperCase(),
    hostFiles: (directory) => listFiles(inside(directory)),
    removeHostFile: (path) => {
      rmSync(inside(path), { force: true });
      return true;
    },
    shellPools: () => shellPools(inside("/var/lib/lab/zfs.json")),
  });

  const commit = (next: LabState): void => {
    options.store.save(next);
    if (JSON.stringify(next.firewall) !== JSON.stringify(state.firewall)) options.journal.firewall(next.firewall);
    state = next;
  };

  const fileExists = (volid: string): boolean => {
    const [id = "", name = ""] = splitVolid(volid);
    const root = state.storages[id]?.options["path"];
    const path = /^(snippets|iso|vztmpl|import)\/([^/]+)$/.exec(name);
    if (root === undefined || !path) return false;
    const directory = { snippets: "snippets", iso: "template/iso", vztmpl: "template/cache", import: "import" }[
      path[1] ?? ""
    ];
    return listFiles(inside(`${root}/${directory ?? ""}`)).some((file) => file.name === path[2]);
  };

  const finish = (): void => {
    const env = environment();
    if (!runningTasks(state).some((task) => task.dueAtMs <= env.nowMs)) return;
    const done = finishDue(state, env, fileExists, options.faults.fullStorages());
    commit(done.state);
    options.journal.record(done.events);
  };

  const schedule = (): void => {
    clearTimeout(timer);
    const due = runningTasks(state).map((task) => task.dueAtMs);
    if (due.length === 0) return;
    const wait = Math.min(LONGEST_TIMER_MS, Math.max(0, Math.min(...due) - Date.now()));
    timer = setTimeout(() => {
      finish();
      schedule();
    }, wait);
  };

  const answer = async (request: IncomingMessage, response: ServerResponse, rootSocket: boolean): Promise<void> => {
    const url = new URL(request.url ?? "/", "https://pve");
    const method = request.method ?? "GET";
    const path = url.pathname.startsWith(PREFIX) ? url.pathname.slice(PREFIX.length) : url.pathname;
    const isControl = rootSocket && path.startsWith("/lab/");
    const fault = isControl ? undefined : options.faults.take(method, path);
    const early = fault && (await beforeWork(fault, response, options.journal));
    if (early === "gone") return;
    let result: LabResponse;
    let names: string[] = [];
    if (early) result = early;
    else {
      try {
        const { params, upload } = await readParams(request, url.searchParams);
        names = Object.keys(params);
        finish();
        extraTaskMs = fault?.kind === "slow-task" ? fault.delayMs : 0;
        const env = environment();
        extraTaskMs = 0;
        const credentials = {
          authorization: request.headers.authorization,
          cookie: request.headers.cookie,
          csrf: headerText(request.headers["csrfpreventiontoken"]),
          rootSocket,
        };
        const applied = apply(
          options.router,
          state,
          { method, path, params, rootSocket, ...(upload ? { upload } : {}) },
          (open) => {
            try {
              return identify(state, credentials, method, env.nowMs);
            } catch (error) {
              if (open && error instanceof PveError) return undefined;
              throw error;
            }
          },
          env,
          options.faults.fullStorages(),
        );
        if (applied.changed) commit(applied.state);
        options.journal.record(applied.events);
        schedule();
        result = applied.response;
      } catch (error) {
        if (!(error instanceof PveError)) throw error;
        result = { status: error.status, message: error.message, data: null };
      }
    }
    if (!isControl) options.journal.traffic({ method, path, params: names, status: result.status });
    if (fault?.kind === "drop" && fault.phase === "after") {
      response.destroy();
      return;
    }
    send(response, result);
  };

  const handler =
    (rootSocket: boolean) =>
    (request: IncomingMessage, response: ServerResponse): void => {
      answer(request, response, rootSocket).catch((error: unknown) => {
        // A fault of the lab's own: say so and answer, so that a client does not hang.
        process.stderr.write(`lab: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
        if (!response.headersSent) send(response, { status: 500, message: "internal error of the lab", data: null });
      });
    };

  return {
    state: () => state,
    async listen(port, cert, rootSocket) {
      const https = createHttpsServer({ key: cert.key, cert: cert.cert, minVersion: "TLSv1.2" }, handler(false));
      const local = createHttpServer(handler(true));
      for (const server of [https, local]) {
        server.requestTimeout = 120_000;
        server.keepAliveTimeout = 60_000;
        servers.push(server);
      }
      await new Promise<void>((resolve, reject) => {
        https.once("error", reject);
        https.listen(port, "127.0.0.1", resolve);
      });
      rmSync(rootSocket, { force: true });
      const mask = process.umask(0o177);
      try {
        await new Promise<void>((resolve, reject) => {
          local.once("error", reject);
          local.listen(rootSocket, resolve);
        });
      } finally {
        process.umask(mask);
      }
      chmodSync(rootSocket, 0o600);
      schedule();
      const address = https.address();
      return { port: typeof address === "object" && address !== null ? address.port : port };
    },
    async close() {
      clearTimeout(timer);
      await Promise.all(
        servers.map(
          (server) =>
            new Promise<void>((resolve) => {
              server.close(() => resolve());
              server.closeAllConnections();
            }),
        ),
      );
    },
  };
}

/** A fault that acts before the work; undefined lets the work go on. */
async function beforeWork(
  fault: Fault,
  response: ServerResponse,
  journal: Journal,
): Promise<LabResponse | "gone" | undefined> {
  journal.record([{ at: new Date().toISOString(), kind: "fault", detail: { fault: fault.kind, id: fault.id } }]);
  if (fault.kind === "500") return { status: 500, message: fault.message, data: null };
  if (fault.kind === "slow" || fault.kind === "timeout")
    await new Promise((resolve) => setTimeout(resolve, fault.delayMs).unref());
  if (fault.kind === "timeout" || (fault.kind === "drop" && fault.phase === "before")) {
    response.destroy();
    return "gone";
  }
  return undefined;
}

/** Proxmox puts the message into the status line too; there it can be one line of Latin-1 only. */
function send(response: ServerResponse, result: LabResponse): void {
  const ok = result.status < 300;
  response.statusCode = result.status;
  if (!ok) response.statusMessage = result.message.replace(/[^\x20-\x7e]+/g, " ").slice(0, 400);
  const body = ok
    ? { data: result.data }
    : { data: null, message: `${result.message}\n`, ...(result.errors ? { errors: result.errors } : {}) };
  const text = JSON.stringify(body);
  response.setHeader("content-type", "application/json;charset=UTF-8");
  response.setHeader("content-length", Buffer.byteLength(text));
  response.setHeader("cache-control", "max-age=0");
  response.setHeader("server", "pve-api-daemon/3.0");
  response.end(text);
}

function headerText(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

function splitVolid(volid: string): [string, string] {
  const colon = volid.indexOf(":");
  return colon < 0 ? ["", volid] : [volid.slice(0, colon), volid.slice(colon + 1)];
}

/** What the host's `zpool` shim wrote; anything malformed counts as no pool. */
function shellPools(path: string): { name: string; sizeBytes: number }[] {
  try {
    const parsed: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof parsed !== "object" || parsed === null || !("pools" in parsed)) return [];
    const { pools } = parsed;
    if (typeof pools !== "object" || pools === null) return [];
    return Object.entries(pools).flatMap(([name, pool]: [string, unknown]) => {
      if (typeof pool !== "object" || pool === null || !("sizeBytes" in pool)) return [];
      return typeof pool.sizeBytes === "number" ? [{ name, sizeBytes: pool.sizeBytes }] : [];
    });
  } catch {
    return [];
  }
}

function listFiles(directory: string): { name: string; sizeBytes: number; mtimeMs: number }[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => {
        const info = statSync(join(directory, entry.name));
        return { name: entry.name, sizeBytes: info.size, mtimeMs: info.mtimeMs };
      });
  } catch {
    return [];
  }
}
