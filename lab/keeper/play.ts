// Plays an evening against a running Keeper: people speak, scans come, the card gets hot, the load rises; who gets the card is not the
// player's business.
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isRecord, readIfPresent, writeFileAtomic } from "../host/files.ts";
import { KeeperApi } from "./api.ts";
import type { LabCard } from "./card.ts";
import type { EveningClock } from "./clock.ts";
import type { Evening, EveningStep, ExpectedDecision, MadeDecision } from "./evening.ts";
import { findDecisions } from "./evening.ts";
import type { KeeperFolder } from "./folder.ts";
import { Lease } from "./lease.ts";
import { writeLoad } from "./load.ts";
import { endWorker, startWorker } from "./workers.ts";

export interface PlayOptions {
  readonly folder: KeeperFolder;
  /** Folder of the Keeper's socket. */
  readonly runtime: string;
  readonly card: LabCard;
  readonly evening: Evening;
  /** The Keeper's own. */
  readonly clock: EveningClock;
  readonly signal: AbortSignal;
  /** Told of each scene when it begins: its time of day and its text. */
  readonly tell: (at: string, text: string) => void;
}

/** How often the Keeper is looked at while something is waited for, ms. */
const lookMs = 50;
/** Longest wait for a grant, a sample or a decision, ms of real time. */
const patienceMs = 30_000;
/** Between two renewals of a lease, ms; a third of what one lasts. */
const renewMs = 10_000;

/** What the page reads; without scenes where none is played. */
export function writeEvening(folder: KeeperFolder, timeZone: string, steps: readonly EveningStep[], now: number): void {
  const told = steps.map(({ at, text }, index) => ({ at, text, state: stateOf(index, now) }));
  writeFileAtomic(folder.evening, `${JSON.stringify({ timeZone, steps: told })}\n`);
}

function stateOf(index: number, now: number): "done" | "now" | "next" {
  return index < now ? "done" : index === now ? "now" : "next";
}

/**
 * Plays all of it, and returns when its last minute is over or the signal is aborted. The clock stands while a scene
 * waits for what the Keeper must decide in it.
 * @throws when the Keeper does not answer, refuses what the script asks for, or does not decide as it says
 */
export async function playEvening(options: PlayOptions): Promise<void> {
  const { evening, folder, signal } = options;
  const player = new Player(options);
  let never: readonly ExpectedDecision[] = [];
  for (const [index, step] of evening.steps.entries()) {
    await player.until(step.atMs);
    if (signal.aborted) return;
    await player.undecided(step.at, never);
    writeEvening(folder, evening.timeZone, evening.steps, index);
    options.tell(step.at, step.text);
    if (step.load !== undefined) writeLoad(folder.load, step.load);
    if (step.ask !== undefined) await player.ask(step.ask.service, step.ask.minutes);
    const decided = (): Promise<void> => player.decided(step.at, step.decisions);
    if (step.heat === undefined) await decided();
    else await player.heat(step.heat.celsius, step.heat.samples, decided);
    await player.sampled();
    ({ never } = step);
  }
  await player.until(evening.toMs);
  if (signal.aborted) return;
  await player.undecided("the end", never);
  writeEvening(folder, evening.timeZone, evening.steps, evening.steps.length);
}

class Player {
  readonly #options: PlayOptions;
  readonly #admin: KeeperApi;
  /** Number of the last decision that a scene was waiting for. */
  #since = 0;

  constructor(options: PlayOptions) {
    const admin = KeeperApi.admin(options.runtime);
    if (admin === undefined) throw new Error(`no Keeper runs here: ${options.runtime} holds no token`);
    this.#options = options;
    this.#admin = admin;
  }

  /** Lets the evening go on to an instant. */
  until(atMs: number): Promise<void> {
    const { clock, signal } = this.#options;
    return clock.runTo(atMs, (ms) => rest(ms, signal), signal);
  }

  /** A service asks for the card, computes on it for that long, and gives it back. */
  async ask(service: string, minutes: number): Promise<void> {
    const { folder, runtime, card, clock, signal } = this.#options;
    const own = service === "eva-core" ? readIfPresent(folder.evaToken)?.trim() : undefined;
    const api = own === undefined ? this.#admin : new KeeperApi(runtime, own);
    // Its process waits already; it takes VRAM once it may.
    await card.claim(service, false);
    await startWorker(folder.services, service);
    let lease: Lease | undefined;
    try {
      lease = await Lease.request(api, service, patienceMs, signal);
      if (lease === undefined) return;
      await card.claim(service, true);
      const renewing = renewed(lease, signal);
      await this.until(clock.nowMs + minutes * 60_000);
      await renewing.stop();
    } finally {
      await card.claim(service, false);
      await lease?.release();
      await endWorker(folder.services, service);
      await card.claim(service, true);
    }
  }

  /** The card is that hot until the Keeper has logged at least so many samples of it and has done something about it. */
  async heat(celsius: number, samples: number, decided: () => Promise<void>): Promise<void> {
    const { card, folder } = this.#options;
    const seen = samplesSince(folder, new RegExp(`"temperatureC":${String(celsius)}\\b`));
    await card.heat(celsius);
    try {
      await this.#until(() => seen() >= samples, `the Keeper does not see ${String(celsius)} °C`);
      await decided();
    } finally {
      await card.heat(undefined);
    }
  }

  /** Waits until the Keeper knows the card as it is now: it decides by its last sample. */
  async sampled(): Promise<void> {
    const { card, folder } = this.#options;
    await card.look();
    const seen = samplesSince(folder, /"kind":"known"/);
    await this.#until(() => seen() >= 1, "the Keeper does not see the card");
  }

  async #until(done: () => boolean, fault: string): Promise<void> {
    const { signal } = this.#options;
    for (const giveUp = performance.now() + patienceMs; !done() && !signal.aborted; await rest(lookMs, signal)) {
      if (performance.now() > giveUp) throw new Error(fault);
    }
  }

  /** Waits until the Keeper has decided all of these. */
  async decided(at: string, expected: readonly ExpectedDecision[]): Promise<void> {
    const { signal } = this.#options;
    for (const giveUp = performance.now() + patienceMs; !signal.aborted; await rest(lookMs, signal)) {
      const made = await this.#decisions();
      const { missing, last } = findDecisions(expected, made);
      const [first] = missing;
      if (first === undefined) {
        this.#since = last ?? this.#since;
        return;
      }
      if (performance.now() < giveUp) continue;
      const lines = made.map(({ what, service, reason }) => `  ${what} ${service}: ${reason}`);
      throw new Error(`at ${at} the Keeper did not decide ${JSON.stringify(first)}; it decided\n${lines.join("\n")}`);
    }
  }

  /** Makes sure that none of these was decided in the scene before. */
  async undecided(at: string, unwanted: readonly ExpectedDecision[]): Promise<void> {
    if (unwanted.length === 0) return;
    const made = await this.#decisions();
    for (const each of unwanted) {
      if (findDecisions([each], made).last !== undefined)
        throw new Error(`before ${at} the Keeper decided ${JSON.stringify(each)}`);
    }
  }

  async #decisions(): Promise<readonly MadeDecision[]> {
    const { status, json } = await this.#admin.get(`/decisions?since=${String(this.#since)}`);
    const list: unknown = isRecord(json) ? json["decisions"] : undefined;
    if (status !== 200 || !Array.isArray(list)) throw new Error(`the Keeper answered ${String(status)}`);
    return list.filter(isRecord).map(({ number, what, service, reason }) => ({
      number: typeof number === "number" ? number : 0,
      what: textOf(what),
      service: textOf(service),
      reason: textOf(reason),
    }));
  }
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Renews a lease until it is told to stop; a renewal that was refused is thrown then. */
function renewed(lease: Lease, signal: AbortSignal): { readonly stop: () => Promise<void> } {
  const stopping = new AbortController();
  const until = AbortSignal.any([signal, stopping.signal]);
  const work = (async () => {
    for (await rest(renewMs, until); !until.aborted; await rest(renewMs, until)) await lease.renew();
  })();
  // It is looked at when it is stopped.
  work.catch(() => undefined);
  return {
    stop: async () => {
      stopping.abort();
      await work;
    },
  };
}

/** Counts the samples of that kind that the Keeper logs from now on. */
function samplesSince(folder: KeeperFolder, kind: RegExp): () => number {
  const log = (): string => readIfPresent(join(folder.log, "gpu.jsonl")) ?? "";
  const from = log().length;
  return () => {
    const text = log();
    // A shorter one is a new one: the log is rotated. The last line may be half written.
    const lines = text.slice(text.length < from ? 0 : from).split("\n");
    return lines.slice(0, -1).filter((line) => kind.test(line)).length;
  };
}

/** Ends early, without an error, when the signal is aborted. */
async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
