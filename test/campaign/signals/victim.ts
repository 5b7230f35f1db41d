/** A daemon that is killed again and again, and started again at once: its plan says how, and when. */
import { appendFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Daemon } from "../../support/arbiterDaemon.ts";
import { drawPlan, type Plan, type Point } from "./plan.ts";

export interface VictimOptions {
  readonly name: string;
  /** Folder of its journal. */
  readonly journal: string;
  /** Starts it, armed with these failpoints. */
  readonly launch: (failpoints: string) => Daemon;
  readonly points: readonly Point[];
  /** Signals between two of its deaths, on average. */
  readonly every: number;
  readonly random: () => number;
  /** What else happens now and then while it is dead. */
  readonly fallen?: () => Promise<void>;
  /** Whether all of it is to end. */
  readonly over: () => boolean;
  /** It ended in another way than by a kill of ours. */
  readonly broken: (what: string) => void;
}

export interface Kills {
  readonly atFailpoint: number;
  readonly anywhere: number;
  readonly inStart: number;
  readonly torn: number;
}

/** The line that a write leaves when it is cut short: no line feed, so it was never acknowledged. */
async function tear(folder: string, random: () => number): Promise<boolean> {
  const last = (await readdir(folder).catch(() => []))
    .filter((name) => name.endsWith(".log"))
    .toSorted()
    .at(-1);
  if (last === undefined) return false;
  const line = '0badc0de {"kind":"run","run":{"runId":"run_00000000000000000000000000000000"}}';
  await appendFile(join(folder, last), line.slice(0, 1 + Math.floor(random() * (line.length - 1))));
  return true;
}

export class Victim {
  readonly #options: VictimOptions;
  readonly #counts = { atFailpoint: 0, anywhere: 0, inStart: 0, torn: 0 };
  readonly #life: Promise<void>;
  #daemon: Daemon | undefined;
  #calm = false;
  #closed = false;
  /** Signals until it is killed; counted only when its plan says so. */
  #left = Number.POSITIVE_INFINITY;
  #strikeMs = 0;

  constructor(options: VictimOptions) {
    this.#options = options;
    this.#life = this.#live();
  }

  /** When it died, Unix ms, in order. */
  readonly deathsMs: number[] = [];

  get kills(): Kills {
    return this.#counts;
  }

  /** Another signal went through it. */
  passed(): void {
    this.#left -= 1;
    if (this.#left >= 0) return;
    this.#left = Number.POSITIVE_INFINITY;
    this.#strikeLater(this.#strikeMs);
  }

  /** Whoever dies from now on is started without a plan. */
  calm(): void {
    this.#calm = true;
    this.#left = Number.POSITIVE_INFINITY;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#daemon?.signal("SIGKILL");
    await this.#life;
  }

  #strikeLater(ms: number): void {
    const daemon = this.#daemon;
    setTimeout(() => daemon?.signal("SIGKILL"), ms).unref();
  }

  async #live(): Promise<void> {
    const { name, points, every, random, broken } = this.#options;
    // The first one is let live: agents have to be made first.
    let plan: Plan = { torn: false, death: { kind: "anywhere", signals: every, ms: random() * 30 } };
    while (!this.#closed) {
      try {
        if (await this.#once(plan)) return;
      } catch (error) {
        broken(`${name}: ${error instanceof Error ? error.message : String(error)}`);
        return;
      }
      plan = drawPlan(points, every, random);
    }
  }

  /** @returns whether that was its last life */
  async #once({ death, torn }: Plan): Promise<boolean> {
    const { launch, random, journal, fallen, over } = this.#options;
    const calm = this.#calm;
    this.#left = Number.POSITIVE_INFINITY;
    const daemon = launch(!calm && death.kind === "failpoint" ? death.text : "");
    this.#daemon = daemon;
    if (!calm && death.kind === "start") this.#strikeLater(death.ms);
    if (!calm && death.kind === "anywhere") [this.#left, this.#strikeMs] = [death.signals, death.ms];
    const end = await daemon.ended;
    // What is meant for the whole group ends it too: whoever started all of it hears of that as well.
    if (end !== "SIGKILL") await sleep(200);
    if (this.#closed || (end !== "SIGKILL" && over())) return true;
    this.deathsMs.push(Date.now());
    if (end !== "SIGKILL") throw new Error(`it ended with ${String(end)}: ${daemon.log.slice(-2000)}`);
    if (death.kind === "failpoint") this.#counts.atFailpoint += 1;
    else if (death.kind === "start") this.#counts.inStart += 1;
    else this.#counts.anywhere += 1;
    if (torn && (await tear(journal, random))) this.#counts.torn += 1;
    await fallen?.();
    await sleep(random() * 50);
    return false;
  }
}
