/** Preview and up of genesis against the bare program, each on a fresh lab, in turns. */
import { fork } from "node:child_process";
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "../../../cli/setup/paths.ts";
import { ensureToolchain } from "../../../cli/setup/toolchain.ts";
import { type StateFolder, labStateFolder, prepareStateFolder } from "../../../cli/targets/stateFolder.ts";
import { type LabInfo, startLabProcess, stopLabProcess } from "../../../lab/index.ts";
import { undoOnSignal } from "../cleanup.ts";
import { type TreePeaks, childrenCpuSeconds, processTree, watchTree } from "../processTree.ts";
import { type Figures, type Pair, median, medianRatio, ratioRange } from "../statistics.ts";
import { bareProgram } from "./bareProgram.ts";
import type { Job, JobResult } from "./job.ts";

type Side = Job["side"];
type Say = (line: string) => void;

/** One side of one repetition. */
interface Measured {
  readonly preview: JobResult;
  readonly up: JobResult;
  readonly peaks: readonly TreePeaks[];
  /** Processor time of the program, the engine and the providers: far less noisy than wall time on a busy machine. */
  readonly cpuSeconds: number;
}

/** How long each of the lab's tasks takes, in ms: the same on both sides. */
const taskDelayMs = 50;

class Ground {
  /** Below the project, so that the bare program finds its packages. */
  readonly root = join(projectRoot, ".hive", `bench-${String(process.pid)}`);
  readonly bareFile = join(this.root, "bare.ts");
  readonly #seed = join(this.root, "seed");
  readonly #folder: StateFolder = labStateFolder({ HIVE_STATE_DIR: join(this.root, "state") });
  readonly #engine: Job["engine"];

  constructor(engine: Job["engine"]) {
    this.#engine = engine;
    mkdirSync(this.root, { recursive: true, mode: 0o700 });
  }

  /** A fresh host, its keys and ports, and an opened stack: what every measurement starts from. */
  async plant(): Promise<void> {
    prepareStateFolder(this.#folder);
    await this.#withLab((lab) => this.#run(lab, "genesis", "prepare"));
    cpSync(this.#folder.root, this.#seed, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
  }

  /** Works on a lab that is as `plant` left it. */
  async fresh<T>(work: (run: (side: Side, operation: Job["operation"]) => Promise<Ran>) => Promise<T>): Promise<T> {
    rmSync(this.#folder.root, { recursive: true, force: true });
    cpSync(this.#seed, this.#folder.root, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
    return this.#withLab((lab) => work((side, operation) => this.#run(lab, side, operation)));
  }

  async #withLab<T>(work: (lab: LabInfo) => Promise<T>): Promise<T> {
    const lab = await startLabProcess(this.#folder.lab, { taskDelayMs });
    const done = undoOnSignal(() => process.kill(lab.pid, "SIGKILL"));
    try {
      return await work(lab);
    } finally {
      await stopLabProcess(lab);
      done();
    }
  }

  async #run(lab: LabInfo, side: Side, operation: Job["operation"]): Promise<Ran> {
    const child = fork(join(import.meta.dirname, "program.ts"), [], {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    const { pid } = child;
    if (pid === undefined) throw new Error("the program could not be started");
    const done = undoOnSignal(() => {
      for (const each of processTree(pid)) process.kill(each.pid, "SIGKILL");
    });
    const watch = watchTree(pid);
    const cpuBefore = childrenCpuSeconds();
    let said = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-4000)));
    try {
      const answer = new Promise<JobResult>((resolve, reject) => {
        child.on("message", (message: { readonly result?: JobResult; readonly failure?: string }) => {
          if (message.result !== undefined) resolve(message.result);
          else reject(new Error(`${operation} of ${side} failed: ${message.failure ?? ""}\n${said}`));
        });
        child.on("exit", (code) => {
          reject(new Error(`${operation} of ${side} ended with status ${String(code)}\n${said}`));
        });
        child.on("error", reject);
      });
      const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      const job: Job = { side, operation, bareFile: this.bareFile, lab, folder: this.#folder, engine: this.#engine };
      child.send(job);
      const result = await answer;
      await ended;
      return { result, peaks: watch.stop(), cpuSeconds: childrenCpuSeconds() - cpuBefore };
    } finally {
      watch.stop();
      done();
    }
  }
}

interface Ran {
  readonly result: JobResult;
  readonly peaks: TreePeaks;
  readonly cpuSeconds: number;
}

const total = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0);

/** @throws Error when the bare program does not declare what genesis declares */
function assertSameResources(genesis: JobResult, bare: JobResult): void {
  const [ours, theirs] = [JSON.stringify(genesis.counts), JSON.stringify(bare.counts)];
  if (ours !== theirs || total(genesis.counts) === 0)
    throw new Error(`the two programs declare different resources:\n  genesis ${ours}\n  bare    ${theirs}`);
}

/**
 * Measures `runs` pairs. A time runs from the start of the program's process (libraries, program, engine, providers)
 * to the end of the engine's operation; opening the stack, which is the same command line on both sides, is left out.
 */
export async function measureEstate(runs: number, say: Say): Promise<Figures> {
  const toolchain = await ensureToolchain({ need: ["engine", "proxmoxve", "command"], progress: say });
  const ground = new Ground({ file: toolchain.engine.path, env: toolchain.env });
  const clear = (): void => {
    rmSync(ground.root, { recursive: true, force: true });
  };
  const done = undoOnSignal(clear);
  try {
    say("up: preparing a lab, and recording what genesis declares on it");
    await ground.plant();
    const recorded = await ground.fresh((run) => run("genesis", "record"));
    writeFileSync(ground.bareFile, bareProgram(recorded.result.resources), { mode: 0o600 });
    const measure = (side: Side): Promise<Measured> =>
      ground.fresh(async (run) => {
        const preview = await run(side, "preview");
        const up = await run(side, "up");
        return {
          preview: preview.result,
          up: up.result,
          peaks: [preview.peaks, up.peaks],
          cpuSeconds: preview.cpuSeconds + up.cpuSeconds,
        };
      });
    assertSameResources(recorded.result, (await ground.fresh((run) => run("bare", "up"))).result);

    const rows: { readonly ours: Measured; readonly bare: Measured }[] = [];
    for (let index = 0; index < runs; index++) {
      const ours = await measure("genesis");
      const bare = await measure("bare");
      assertSameResources(ours.up, bare.up);
      rows.push({ ours, bare });
      const show = ({ preview, up }: Measured): string => `${preview.seconds.toFixed(2)} + ${up.seconds.toFixed(2)} s`;
      say(`up: ${String(index + 1)} of ${String(runs)}: genesis ${show(ours)}, bare ${show(bare)} (preview + up)`);
    }
    return figuresOf(rows);
  } finally {
    done();
    clear();
  }
}

function figuresOf(rows: readonly { readonly ours: Measured; readonly bare: Measured }[]): Figures {
  const pairs = (figure: (measured: Measured) => number): Pair[] =>
    rows.map(({ ours, bare }) => ({ ours: figure(ours), bare: figure(bare) }));
  const middle = (side: "ours" | "bare", figure: (measured: Measured) => number): number =>
    median(rows.map((row) => figure(row[side])));
  const time = ({ preview, up }: Measured): number => preview.seconds + up.seconds;
  const operations = ({ preview, up }: Measured): number => preview.operationSeconds + up.operationSeconds;
  const rss = ({ peaks }: Measured): number => Math.max(...peaks.map(({ treeMiB }) => treeMiB));
  const peak =
    (name: RegExp) =>
    ({ peaks }: Measured): number =>
      Math.max(
        0,
        ...peaks.flatMap(({ byName }) => Object.entries(byName).filter(([at]) => name.test(at))).map(([, mib]) => mib),
      );
  const range = ratioRange(pairs(time));
  const [first] = rows;
  return {
    timeRatio: medianRatio(pairs(time)),
    timeLowestRatio: range.low,
    timeHighestRatio: range.high,
    operationRatio: medianRatio(pairs(operations)),
    previewRatio: medianRatio(pairs(({ preview }) => preview.seconds)),
    upRatio: medianRatio(pairs(({ up }) => up.seconds)),
    cpuRatio: medianRatio(pairs(({ cpuSeconds }) => cpuSeconds)),
    rssRatio: medianRatio(pairs(rss)),
    previewSeconds: middle("ours", ({ preview }) => preview.seconds),
    barePreviewSeconds: middle("bare", ({ preview }) => preview.seconds),
    upSeconds: middle("ours", ({ up }) => up.seconds),
    bareUpSeconds: middle("bare", ({ up }) => up.seconds),
    cpuSeconds: middle("ours", ({ cpuSeconds }) => cpuSeconds),
    bareCpuSeconds: middle("bare", ({ cpuSeconds }) => cpuSeconds),
    rssMiB: middle("ours", rss),
    bareRssMiB: middle("bare", rss),
    enginePeakMiB: middle("ours", peak(/^pulumi$/)),
    bareEnginePeakMiB: middle("bare", peak(/^pulumi$/)),
    proxmoxvePeakMiB: middle("ours", peak(/^pulumi-resource/)),
    bareProxmoxvePeakMiB: middle("bare", peak(/^pulumi-resource/)),
    programPeakMiB: middle("ours", peak(/node|Main/i)),
    bareProgramPeakMiB: middle("bare", peak(/node|Main/i)),
    customResourceCount: total(first?.ours.up.counts ?? {}),
    bareCustomResourceCount: total(first?.bare.up.counts ?? {}),
    createdCount: first?.ours.up.created ?? 0,
    bareCreatedCount: first?.bare.up.created ?? 0,
  };
}
