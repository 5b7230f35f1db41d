/** Where the Keeper is put to the test: a busy batch, a human's service, a fake card, a small disk; and the judge. */
import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buildFakeGpu } from "../../../lab/gpu/build.ts";
import { FakeGpu } from "../../../lab/gpu/fakeGpu.ts";
import { ArbiterSite } from "../../support/arbiterDaemon.ts";
import type { AgentProgram, Daemon, LeaseAnswer } from "../../support/arbiterDaemon.ts";
import { configureScene, openScene } from "../../support/arbiterScene.ts";
import type { Scene } from "../../support/arbiterScene.ts";
import { brokenChains } from "../../support/burner.ts";
import { readStat } from "../../../runtime-agent/src/keeper/processes/pids/stat.ts";

/** Saturday 21 November 2026, 3:00 in Paris: an hour either way is still The Muse's night. */
const nightMs = Date.parse("2026-11-21T03:00:00+01:00");
/** Size of the state's disk, so that it can be filled in an instant. */
const diskMiB = 24;
/** What the campaign's clients know: they never forget a grant. */
export interface Known {
  /** The lease that EVA holds by the arbiter's word. */
  held: { readonly lease: string; readonly token: number } | undefined;
  /** What EVA asked for and was told nothing of: she asks again under the same id. */
  asking: string | undefined;
  /** Whether `held` was given back and nobody said so: then it may be gone. */
  releasing: boolean;
  /** Highest fencing token ever seen. */
  token: number;
  asked: number;
}

export class Arena {
  readonly site: ArbiterSite;
  readonly scene: Scene;
  readonly gpu: FakeGpu;
  readonly known: Known = { held: undefined, asking: undefined, releasing: false, token: 0, asked: 0 };
  daemon: Daemon | undefined;
  readonly #library: string;

  private constructor(site: ArbiterSite, scene: Scene, gpu: FakeGpu, library: string) {
    this.site = site;
    this.scene = scene;
    this.gpu = gpu;
    this.#library = library;
  }

  /** @throws Error with the reason where this machine cannot hold it */
  static async open(program: AgentProgram): Promise<Arena> {
    const scene = await openScene(2, 20_000);
    const site = await ArbiterSite.open(program);
    const built = await buildFakeGpu(join(site.folder, "gpu"));
    const arena = new Arena(
      site,
      scene,
      new FakeGpu(join(site.folder, "gpu")),
      built.kind === "built" ? built.nvml : "",
    );
    try {
      if (built.kind === "failed") throw new Error(`no fake GPU library: ${built.reason}`);
      const disk = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${String(diskMiB)}m,mode=0700`, "none", arena.disk], {
        encoding: "utf8",
      });
      if (disk.status !== 0) throw new Error(`no small disk can be mounted: ${disk.stderr.trim()}`);
      await arena.gpu.reset();
      await arena.jump(0);
      await configureScene(site, scene, { library: built.nvml, evaLeaseSec: 60 });
    } catch (error) {
      await arena.close();
      throw error;
    }
    return arena;
  }

  get disk(): string {
    return join(this.site.folder, "state");
  }

  get library(): string {
    return this.#library;
  }

  /** Steps the daemon's wall clock to the night plus so much. */
  async jump(ms: number): Promise<void> {
    await writeFile(join(this.site.folder, "clock"), String(nightMs - Date.now() + ms));
  }

  async start(failpoints = "", answers = true): Promise<Daemon> {
    const env = { HIVE_LAB_CLOCK: join(this.site.folder, "clock"), HIVE_FAILPOINTS: failpoints };
    this.daemon = await this.site.start({ env, answers });
    return this.daemon;
  }

  /** The daemon that runs, started when none does. */
  async running(): Promise<Daemon> {
    return this.daemon === undefined || this.daemon.over ? this.start() : this.daemon;
  }

  /** EVA asks, and remembers what she is told. Undefined when nobody could tell her. */
  async ask(daemon: Daemon, waitSec = 10): Promise<LeaseAnswer | undefined> {
    const { known } = this;
    known.asked += 1;
    known.asking ??= known.held?.lease ?? `lease-${String(known.asked).padStart(6, "0")}`;
    const answer = await daemon.ask("eva", { id: known.asking, waitSec }).catch(() => undefined);
    if (answer?.state !== "held") return answer;
    known.asking = undefined;
    known.releasing = false;
    const last = known.held?.lease === answer.lease ? known.held.token : known.token + 1;
    if (answer.token < last) throw new Error(`token ${String(answer.token)} where ${String(last)} was due`);
    known.token = Math.max(known.token, answer.token);
    known.held = { lease: answer.lease, token: answer.token };
    if (!this.scene.frozen()) throw new Error("EVA holds the GPU, and the batch is not frozen");
    return answer;
  }

  async release(daemon: Daemon): Promise<void> {
    const { known } = this;
    if (known.held === undefined) return;
    known.releasing = true;
    const answer = await daemon.release(known.held.lease).catch(() => undefined);
    if (answer?.status !== 200) return;
    known.held = undefined;
    known.releasing = false;
  }

  /**
   * The fault is over: everything must be well within the bound. Gives the time it took, ms; the start of a new daemon
   * is part of it. @throws Error with what is not as promised
   */
  async judge(withinMs: number): Promise<number> {
    const began = performance.now();
    const daemon = await this.running();
    const { held, releasing } = this.known;
    if (held !== undefined) {
      const kept = await daemon.renew(held.lease);
      const same = kept.state === "held" && kept.token === held.token;
      if (!same && !releasing) throw new Error(`the grant is lost: ${JSON.stringify(kept)}`);
      if (same && !this.scene.frozen()) throw new Error("EVA holds the GPU, and the batch runs");
      await this.release(daemon);
    }
    const answer = await this.ask(daemon);
    if (answer?.state !== "held")
      throw new Error(`nothing is granted: ${JSON.stringify(answer)}\n${daemon.log.slice(-2000)}`);
    await this.release(daemon);
    await daemon.until(({ holder }) => holder?.service === "muse", "the batch has the GPU again");
    const tookMs = performance.now() - began;
    if (this.scene.frozen()) throw new Error("the batch is frozen");
    const stopped = this.#stopped();
    if (stopped.length > 0) throw new Error(`left stopped: ${stopped.join(", ")}`);
    await this.scene.burner.awaitProgress(this.scene.burner.progress(), 1, 10_000);
    if (tookMs > withinMs) throw new Error(`recovered after ${tookMs.toFixed(0)} ms`);
    return tookMs;
  }

  /** After a failure: a new daemon and clients that know of nothing, so that the next fault is judged by itself. */
  async afresh(): Promise<void> {
    await this.daemon?.stop("SIGKILL");
    await this.gpu.reset();
    await this.jump(0);
    await configureScene(this.site, this.scene, { library: this.#library, evaLeaseSec: 60 });
    const daemon = await this.start();
    const { holder } = await daemon.status();
    if (holder?.lease !== undefined && holder.lease !== null) await daemon.release(holder.lease);
    if (this.known.asking !== undefined) await daemon.release(this.known.asking);
    Object.assign(this.known, { held: undefined, asking: undefined, releasing: false });
    await this.settle();
  }

  /** Waits until the batch has the GPU, and starts counting from there. */
  async settle(): Promise<void> {
    const daemon = await this.running();
    const { token } = await daemon.until(({ holder }) => holder?.service === "muse", "the batch has the GPU");
    this.known.token = Math.max(this.known.token, token);
  }

  /** Whether the batch did each of its steps once and in order. */
  get workLost(): boolean {
    return brokenChains(this.scene.burner.progress()).length > 0;
  }

  #stopped(): number[] {
    const pids = this.scene.groups.group("muse").pids();
    return pids.filter((pid) => readStat(pid)?.state === "T");
  }

  async close(): Promise<void> {
    spawnSync("umount", ["-l", this.disk]);
    await this.site.close().finally(() => this.scene.close());
  }
}
