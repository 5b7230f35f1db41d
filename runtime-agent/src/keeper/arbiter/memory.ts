/**
 * The arbiter's journal and what is remembered from it: decisions by number, and the shell's own notes.
 *
 * A turn counts when it is written (it survives SIGKILL); the disk follows soon. What a power cut takes back are leases
 * of processes that it ended as well. Fencing tokens must not come back, for they are known outside the machine: no token
 * is given out above a bound that is on the disk. The bound is raised by a block at a time, ahead of need, and a start
 * that cannot be sure of the journal's end begins above it (`record.ts`).
 */
import path from "node:path";
import type { ServiceConfig } from "../../../../components/shared/agent/keeperConfig.ts";
import type { Journal } from "../../shared/journal/index.ts";
import { openJournal } from "../../shared/journal/index.ts";
import type { Log } from "../../shared/log.ts";
import type { ProcessId } from "../processes/pids/stat.ts";
import type { ArbiterState } from "./core/state.ts";
import type { Outcome } from "./core/types.ts";
import type { Place, ReleasePromise, ShellState, Turn, TurnRecord } from "./record.ts";
import { setMovedApart } from "./places.ts";
import { decisionsKept, replay, tokenBlock } from "./record.ts";
import type { NumberedDecision } from "./statusDocument.ts";

/** Segments small enough that a start reads a few MiB at most, and decisions of weeks are kept. */
const segmentBytes = 2 * 1024 * 1024;
const segmentsKept = 4;

export interface MemoryPorts {
  readonly boot: string;
  readonly wallMs: () => number;
  readonly log: Log;
  /** Places of these services, to be remembered. */
  readonly placesOf: (names: readonly string[]) => Record<string, Place>;
  readonly onDecision: (decision: NumberedDecision) => void;
  /** Services of the configuration: what is remembered of one at another place is kept apart. @default none */
  readonly configured?: readonly ServiceConfig[];
  /** Longest that a written turn waits for its fsync, ms. @default the journal's */
  readonly syncAfterMs?: number;
}

export class Memory {
  readonly #ports: MemoryPorts;
  #journal: Journal | undefined;
  #state: ArbiterState;
  #shell: ShellState;
  #decisions: NumberedDecision[];
  #number: number;
  /** Bound of the tokens as it is written, and as it is on the disk. */
  #tokensUpTo = 0;
  #tokensSafe = 0;
  #reserving = false;
  /** One writer at a time: a record that is made while another is written would hold the state before it. */
  #last: Promise<void> = Promise.resolve();
  /** State at the last start, as the journal tells it. */
  readonly before: { readonly state: ArbiterState; readonly rebooted: boolean; readonly shell: ShellState };

  private constructor(ports: MemoryPorts, read: Awaited<ReturnType<typeof replay>>) {
    this.#ports = ports;
    this.#state = read.state;
    this.#tokensUpTo = read.state.token;
    const rebooted = read.boot !== ports.boot;
    // After a reboot no process of then is left, and monotonic times mean nothing; a promise ends with its machine.
    this.#shell = rebooted ? { ...read.shell, checkpointed: {}, promisedUntilMs: null, promisedFor: null } : read.shell;
    this.#decisions = [...read.decisions];
    this.#number = read.decisions.at(-1)?.number ?? 0;
    this.before = { state: read.state, rebooted, shell: read.shell };
  }

  static async open(stateFolder: string, ports: MemoryPorts): Promise<Memory> {
    const made: { memory?: Memory } = {};
    const journal = await openJournal(path.join(stateFolder, "journal"), {
      maxBytes: segmentBytes,
      keep: segmentsKept,
      ...(ports.syncAfterMs === undefined ? {} : { syncAfterMs: ports.syncAfterMs }),
      snapshot: () => (made.memory === undefined ? [] : [made.memory.#entry(made.memory.#state, [], [])]),
    });
    const read = setMovedApart(await replay(journal, ports.boot), ports.configured ?? []);
    if (journal.opened.tornBytes > 0) {
      ports.log.notice("the journal's last line was not finished", { bytes: journal.opened.tornBytes });
    }
    for (const damage of read.damage.slice(0, 20)) ports.log.error("damage in the journal", { damage });
    made.memory = new Memory(ports, read);
    made.memory.#journal = journal;
    return made.memory;
  }

  get shell(): ShellState {
    return this.#shell;
  }

  /** The youngest decisions, oldest first. */
  get decisions(): readonly NumberedDecision[] {
    return this.#decisions;
  }

  /** Up to where the open segment of the journal is on the disk. */
  get syncedTo(): ReturnType<Journal["syncedTo"]> {
    return this.#open.syncedTo();
  }

  /** Writes turns in one go; when it ends they survive the agent's death. Rejects when not, and then remembers nothing. */
  record(turns: readonly (Outcome & Partial<Turn>)[]): Promise<void> {
    return this.#alone(async () => {
      const token = turns.at(-1)?.state.token ?? 0;
      if (token > this.#tokensSafe) await this.#reserve(token);
      let number = this.#number;
      const entries = turns.map(({ state, actions, decisions, wallMs = this.#ports.wallMs() }) => {
        const time = new Date(wallMs).toISOString();
        const numbered = decisions.map((decision) => ({ number: (number += 1), time, ...decision }));
        return this.#entry(state, actions, numbered);
      });
      await this.#open.write(entries);
      const fresh = entries.flatMap(({ decisions }) => decisions);
      this.#number = number;
      this.#state = turns.at(-1)?.state ?? this.#state;
      this.#decisions.push(...fresh);
      if (this.#decisions.length > 2 * decisionsKept) this.#decisions = this.#decisions.slice(-decisionsKept);
      for (const decision of fresh) this.#ports.onDecision(decision);
      if (token > this.#tokensSafe - tokenBlock / 2) this.#reserveAhead();
    });
  }

  /** Whose VRAM the driver is about to move; an empty list forgets. */
  async noteCheckpoint(service: string, processes: readonly ProcessId[]): Promise<void> {
    await this.#note(({ checkpointed }) => {
      const { [service]: before, ...others } = checkpointed;
      if (processes.length > 0) return { checkpointed: { ...others, [service]: [...processes] } };
      return before === undefined ? undefined : { checkpointed: others };
    });
  }

  /** The last promise to the host side, past its end too; null when none was given, or it was taken back. */
  get promised(): ReleasePromise | null {
    const { promisedUntilMs: untilMs, promisedFor: id } = this.#shell;
    return untilMs === null ? null : { untilMs, id };
  }

  /** Ends when it is on the disk, for others act on it. */
  async promise({ untilMs, id }: ReleasePromise): Promise<void> {
    await this.#note(() => ({ promisedUntilMs: untilMs, promisedFor: id }), true);
  }

  /** Ends the promise that was given for this id, if it is the one in force, and when that is written. */
  async endPromise(id: string): Promise<void> {
    await this.#note(({ promisedFor }) =>
      promisedFor === id ? { promisedUntilMs: null, promisedFor: null } : undefined,
    );
  }

  async close(): Promise<void> {
    await this.#journal?.close();
  }

  get #open(): Journal {
    if (this.#journal === undefined) throw new Error("the journal is not open");
    return this.#journal;
  }

  #alone(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Remembers a change when it is written, and not when it cannot be. */
  #note(change: (shell: ShellState) => Partial<ShellState> | undefined, onDisk = false): Promise<void> {
    return this.#alone(async () => {
      const changed = change(this.#shell);
      if (changed === undefined) return;
      const shell = { ...this.#shell, ...changed };
      await this.#open.write([this.#entry(this.#state, [], [], shell)]);
      if (onDisk) await this.#open.sync();
      this.#shell = shell;
    });
  }

  /** Raises the bound of the tokens to a block above this one, on the disk. */
  async #reserve(token: number): Promise<void> {
    const upTo = Math.max(this.#tokensUpTo, token + tokenBlock);
    this.#tokensUpTo = upTo;
    await this.#open.write([this.#entry(this.#state, [], [])]);
    await this.#open.sync();
    this.#tokensSafe = Math.max(this.#tokensSafe, upTo);
  }

  /** Raises the bound beside what is going on: the disk is waited for, other records are not held up. */
  #reserveAhead(): void {
    if (this.#reserving) return;
    this.#reserving = true;
    let upTo = 0;
    const written = this.#alone(async () => {
      upTo = Math.max(this.#tokensUpTo, this.#state.token + tokenBlock);
      this.#tokensUpTo = upTo;
      await this.#open.write([this.#entry(this.#state, [], [])]);
    });
    written
      .then(() => this.#open.sync())
      .then(() => (this.#tokensSafe = Math.max(this.#tokensSafe, upTo)))
      // A journal that cannot be written tells the next turn so.
      .catch(() => undefined)
      .finally(() => (this.#reserving = false));
  }

  #entry(
    state: ArbiterState,
    actions: TurnRecord["actions"],
    decisions: readonly NumberedDecision[],
    noted = this.#shell,
  ): TurnRecord {
    const shell = { ...noted, places: this.#ports.placesOf(Object.keys(state.holds)) };
    return { boot: this.#ports.boot, tokensUpTo: this.#tokensUpTo, state, shell, actions, decisions };
  }
}
