// The Sentinel as a daemon of its own: the bundle that ships, its API over its socket. It may be killed.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ApiCall } from "../../runtime-agent/src/shared/localApi/client.ts";
import { callLocalApi } from "../../runtime-agent/src/shared/localApi/client.ts";
import type { AgentProgram } from "./arbiterDaemon.ts";
import { Daemon } from "./arbiterDaemon.ts";
import { freePort } from "../../lab/host/freePort.ts";
import { isRecord } from "./records.ts";

/** Waits for a condition; a test never depends on how long that takes. */
export async function until(holds: () => boolean | Promise<boolean>, what: string, most = 30_000): Promise<void> {
  for (const end = performance.now() + most; performance.now() < end; await sleep(10))
    if (await Promise.resolve(holds()).catch(() => false)) return;
  assert.fail(`never: ${what}`);
}

export interface SentinelAnswer {
  readonly status: number;
  readonly json: Readonly<Record<string, unknown>>;
}

/** Folders of one Sentinel, and the daemon in them. */
export class SentinelSite {
  readonly folder: string;
  /** Where runners call. */
  readonly port: number;
  readonly #program: string;
  #daemon: Daemon | undefined;
  #kill: () => void = () => undefined;

  private constructor(folder: string, port: number, program: string) {
    this.folder = folder;
    this.port = port;
    this.#program = program;
    process.once("exit", this.#orphan);
  }

  readonly #orphan = (): void => this.#kill();

  static async open(program: AgentProgram, config: object = {}): Promise<SentinelSite> {
    const folder = await mkdtemp(join(tmpdir(), "hive-sent-"));
    const site = new SentinelSite(folder, await freePort(), program.file);
    await site.configure(config);
    return site;
  }

  /** Writes the configuration, with these parts beside the usual ones. */
  async configure(config: object): Promise<void> {
    const paths = { state: join(this.folder, "state"), runtime: join(this.folder, "run") };
    const whole = {
      ...{ version: 1, role: "sentinel", paths, runners: { listen: `127.0.0.1:${String(this.port)}` } },
      ...{ leases: { heartbeatSec: 1, validSec: 5 }, delivery: { deadlineSec: 5, mostSec: 1 } },
      ...config,
    };
    await writeFile(this.configFile, JSON.stringify(whole), { mode: 0o600 });
  }

  get configFile(): string {
    return join(this.folder, "sentinel.yaml");
  }

  /**
   * Starts the daemon without waiting for it.
   * @param node command that ends in Node and its flags. @default this process's own Node
   */
  launch(failpoints = "", node: readonly string[] = [process.execPath], env: NodeJS.ProcessEnv = {}): Daemon {
    const [file = process.execPath, ...flags] = node;
    const child = spawn(file, [...flags, this.#program, "sentinel", "--config", this.configFile], {
      env: { ...process.env, HIVE_FAILPOINTS: failpoints, ...env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const daemon = new Daemon(child, join(this.folder, "run"));
    this.#kill = () => void child.kill("SIGKILL");
    this.#daemon = daemon;
    return daemon;
  }

  /** Starts the daemon and waits until it answers, or until it is killed at a failpoint. */
  async start(...how: Parameters<SentinelSite["launch"]>): Promise<Daemon> {
    const daemon = this.launch(...how);
    await this.answers();
    return daemon;
  }

  /** Ends when the daemon answers, or when it is over. */
  answers(): Promise<void> {
    const asked = async (): Promise<boolean> => (await this.call("GET", "/health")).status === 200;
    return until(async () => this.#daemon?.over === true || (await asked()), "the Sentinel answers");
  }

  get daemon(): Daemon | undefined {
    return this.#daemon;
  }

  kill(): void {
    this.#kill();
  }

  async call(method: ApiCall["method"] & string, path: string, body?: unknown): Promise<SentinelAnswer> {
    const token = (await readFile(join(this.folder, "run/api.token"), "utf8")).trim();
    const socket = join(this.folder, "run/api.sock");
    // An answer waits for the disk, and other tests may keep that busy.
    const { status, text } = await callLocalApi({ socket, token, method, path, body, timeoutMs: 30_000 });
    const json: unknown = text.startsWith("{") ? JSON.parse(text) : { text };
    return { status, json: isRecord(json) ? json : {} };
  }

  /** Makes an agent; gives its key. */
  async newAgent(name: string, more: object = {}): Promise<string> {
    const spec = { name, kind: "browser-light", size: "S", ttlSec: 86_400, ...more };
    const { status, json } = await this.call("POST", "/agents", spec);
    assert.equal(status, 201, JSON.stringify(json));
    return String(json.key);
  }

  async close(): Promise<void> {
    this.kill();
    await this.#daemon?.ended;
    process.off("exit", this.#orphan);
    await rm(this.folder, { recursive: true, force: true });
  }
}
