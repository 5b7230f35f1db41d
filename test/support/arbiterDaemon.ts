// The arbiter as a daemon of its own: the bundle that ships, real cgroups, its API over its socket. It may be killed.
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { projectRoot } from "../../cli/setup/paths.ts";
import { bundleAgent } from "../../runtime-agent/build/bundle.ts";
import type { ArbiterStatusDocument } from "../../runtime-agent/src/keeper/arbiter/statusDocument.ts";
import { callLocalApi } from "../../runtime-agent/src/shared/localApi/client.ts";
import type { ApiAnswer, ApiCall } from "../../runtime-agent/src/shared/localApi/client.ts";
import { isRecord } from "./records.ts";

/** Hang guard of one step, ms. */
const longMs = 20_000;

/** The agent's bundle in a folder of its own, built once and run many times. */
export interface AgentProgram {
  readonly file: string;
  remove(): Promise<void>;
}

export async function buildAgent(): Promise<AgentProgram> {
  const folder = await mkdtemp(join(tmpdir(), "hive-bundle-"));
  const { code } = await bundleAgent();
  const file = join(folder, "hive-agent.mjs");
  await writeFile(file, code);
  // koffi stays outside the bundle.
  await symlink(join(projectRoot, "node_modules"), join(folder, "node_modules"));
  return { file, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** Folders of one arbiter, and the daemon in them. */
export class ArbiterSite {
  readonly folder: string;
  readonly #program: string;
  readonly #daemons = new Set<ChildProcess>();

  private constructor(folder: string, program: string) {
    this.folder = folder;
    this.#program = program;
    process.once("exit", this.#orphans);
  }

  static async open(program: AgentProgram): Promise<ArbiterSite> {
    const folder = await mkdtemp(join(tmpdir(), "hive-arb-"));
    await mkdir(join(folder, "state"), { mode: 0o700 });
    return new ArbiterSite(folder, program.file);
  }

  readonly #orphans = (): void => {
    for (const child of this.#daemons) child.kill("SIGKILL");
  };

  get configFile(): string {
    return join(this.folder, "keeper.yaml");
  }

  /** Writes the configuration; JSON is YAML. */
  async configure(arbiter: object, root: object = {}): Promise<void> {
    const paths = {
      state: join(this.folder, "state"),
      runtime: join(this.folder, "run"),
      log: join(this.folder, "log"),
    };
    const config = { version: 1, side: "arbiter", paths, ...root, arbiter };
    await writeFile(this.configFile, JSON.stringify(config), { mode: 0o600 });
  }

  /** Starts the daemon, and waits until it answers unless told not to. */
  async start(
    options: {
      readonly env?: NodeJS.ProcessEnv;
      readonly answers?: boolean;
      readonly flags?: readonly string[];
      /** Command that ends in Node itself. @default this process's own Node */
      readonly node?: readonly string[];
    } = {},
  ): Promise<Daemon> {
    const [file = process.execPath, ...before] = options.node ?? [];
    const command = [this.#program, "keeper", "--side", "arbiter", "--config", this.configFile];
    const child = spawn(file, [...before, ...(options.flags ?? []), ...command], {
      env: { ...process.env, HIVE_FAILPOINTS: "", ...options.env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#daemons.add(child);
    child.once("close", () => this.#daemons.delete(child));
    const daemon = new Daemon(child, join(this.folder, "run"));
    if (options.answers !== false) await daemon.answers();
    return daemon;
  }

  async close(): Promise<void> {
    for (const child of this.#daemons) child.kill("SIGKILL");
    while (this.#daemons.size > 0) await sleep(5);
    process.off("exit", this.#orphans);
    await rm(this.folder, { recursive: true, force: true });
  }
}

export interface LeaseAnswer {
  readonly status: number;
  readonly lease: string;
  readonly state: string;
  readonly token: number;
  readonly error: string;
}

export class Daemon {
  readonly pid: number;
  /** Exit status or signal. */
  readonly ended: Promise<number | string>;
  readonly #child: ChildProcess;
  readonly #runtime: string;
  #log = "";
  #token: string | undefined;
  #over = false;

  constructor(child: ChildProcess, runtime: string) {
    this.#child = child;
    this.#runtime = runtime;
    this.pid = child.pid ?? 0;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#log += text));
    this.ended = new Promise((resolve) =>
      child.once("close", (code, signal) => {
        this.#over = true;
        resolve(signal ?? code ?? "unknown");
      }),
    );
  }

  /** What it logged so far. */
  get log(): string {
    return this.#log;
  }

  get over(): boolean {
    return this.#over;
  }

  async answers(): Promise<void> {
    await this.#until(async () => {
      const answer = await this.call("GET", "/health", { timeoutMs: 1000 }).catch(() => undefined);
      return answer !== undefined;
    }, "the daemon answers");
  }

  async call(
    method: ApiCall["method"] & string,
    path: string,
    more: { readonly body?: unknown; readonly token?: string; readonly timeoutMs?: number } = {},
  ): Promise<ApiAnswer> {
    this.#token ??= (await readFile(join(this.#runtime, "api.token"), "utf8")).trim();
    const { body, token = this.#token, timeoutMs = longMs } = more;
    return callLocalApi({ socket: join(this.#runtime, "api.sock"), token, method, path, body, timeoutMs });
  }

  async status(): Promise<ArbiterStatusDocument> {
    const { text } = await this.call("GET", "/status");
    return JSON.parse(text);
  }

  /** Asks for a lease and waits for it; with `waitSec` not for ever. */
  async ask(
    service: string,
    more: { readonly id?: string; readonly waitSec?: number; readonly token?: string } = {},
  ): Promise<LeaseAnswer> {
    const { id, waitSec, token } = more;
    const query = waitSec === undefined ? "" : `?wait=${String(waitSec)}`;
    const body = id === undefined ? { service } : { service, id };
    return leaseOf(await this.call("POST", `/v1/leases${query}`, token === undefined ? { body } : { body, token }));
  }

  async look(lease: string): Promise<LeaseAnswer> {
    return leaseOf(await this.call("GET", `/v1/leases/${lease}`));
  }

  async renew(lease: string): Promise<LeaseAnswer> {
    return leaseOf(await this.call("PUT", `/v1/leases/${lease}`));
  }

  async release(lease: string): Promise<LeaseAnswer> {
    return leaseOf(await this.call("DELETE", `/v1/leases/${lease}`));
  }

  /** Waits until the status is as wanted; tells the last one when it never is. */
  async until(is: (status: ArbiterStatusDocument) => boolean, what: string): Promise<ArbiterStatusDocument> {
    let last: ArbiterStatusDocument | undefined;
    await this.#until(async () => is((last = await this.status())), what).catch((error: unknown) => {
      throw new Error(`${error instanceof Error ? error.message : String(error)}: ${JSON.stringify(last)}`);
    });
    if (last === undefined) throw new Error(what);
    return last;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async stop(name: NodeJS.Signals = "SIGTERM"): Promise<number | string> {
    this.signal(name);
    return this.ended;
  }

  async #until(is: () => Promise<boolean>, what: string): Promise<void> {
    for (const end = performance.now() + longMs; !(await is()); await sleep(10)) {
      if (this.#over) throw new Error(`the daemon ended before this: ${what}\n${this.#log}`);
      if (performance.now() > end) throw new Error(`never: ${what}\n${this.#log.slice(-3000)}`);
    }
  }
}

function leaseOf({ status, text }: ApiAnswer): LeaseAnswer {
  const body: unknown = JSON.parse(text);
  const record = isRecord(body) ? body : {};
  const { lease, state, token, error } = record;
  return {
    status,
    lease: typeof lease === "string" ? lease : "",
    state: typeof state === "string" ? state : "",
    token: typeof token === "number" ? token : 0,
    error: typeof error === "string" ? error : "",
  };
}
