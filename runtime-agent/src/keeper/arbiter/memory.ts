/** The arbiter's journal and what is remembered from it: decisions by number, and the shell's own notes. */
import path from "node:path";
import type { Journal } from "../../shared/journal/index.ts";
import { openJournal } from "../../shared/journal/index.ts";
import type { Log } from "../../shared/log.ts";
import type { ProcessId } from "../processes/pids/stat.ts";
import type { ArbiterState } from "./core/state.ts";
import type { Outcome } from "./core/types.ts";
import type { Place, ShellState, TurnRecord } from "./record.ts";
import { decisionsKept, replay } from "./record.ts";
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
}

export class Memory {
  readonly #ports: MemoryPorts;
  #journal: Journal | undefined;
  #state: ArbiterState;
  #shell: ShellState;
  #decisions: NumberedDecision[];
  #number: number;
  /** State at the last start, as the journal tells it. */
  readonly before: { readonly state: ArbiterState; readonly rebooted: boolean; readonly shell: ShellState };

  private constructor(ports: MemoryPorts, read: Awaited<ReturnType<typeof replay>>) {
    this.#ports = ports;
    this.#state = read.state;
    const rebooted = read.boot !== ports.boot;
    // After a reboot no process of then is left, and monotonic times mean nothing; a promise ends with its machine.
    this.#shell = rebooted ? { ...read.shell, checkpointed: {}, promisedUntilMs: null } : read.shell;
    this.#decisions = [...read.decisions];
    this.#number = read.decisions.at(-1)?.number ?? 0;
    this.before = { state: read.state, rebooted, shell: read.shell };
  }

  static async open(stateFolder: string, ports: MemoryPorts): Promise<Memory> {
    const made: { memory?: Memory } = {};
    const journal = await openJournal(path.join(stateFolder, "journal"), {
      maxBytes: segmentBytes,
      keep: segmentsKept,
      snapshot: () => (made.memory === undefined ? [] : [made.memory.#entry(made.memory.#state, [], [])]),
    });
    const read = await replay(journal);
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

  /** Writes turns in one go; when it ends they are on the disk. Rejects when they are not, and then remembers nothing. */
  async record(turns: readonly Outcome[]): Promise<void> {
    const time = new Date(this.#ports.wallMs()).toISOString();
    let number = this.#number;
    const entries = turns.map(({ state, actions, decisions }) =>
      this.#entry(
        state,
        actions,
        decisions.map((decision) => ({ number: (number += 1), time, ...decision })),
      ),
    );
    await this.#append(entries);
    const fresh = entries.flatMap(({ decisions }) => decisions);
    this.#number = number;
    this.#state = turns.at(-1)?.state ?? this.#state;
    this.#decisions.push(...fresh);
    if (this.#decisions.length > 2 * decisionsKept) this.#decisions = this.#decisions.slice(-decisionsKept);
    for (const decision of fresh) this.#ports.onDecision(decision);
  }

  /** Whose VRAM the driver is about to move; an empty list forgets. */
  async noteCheckpoint(service: string, processes: readonly ProcessId[]): Promise<void> {
    const { [service]: before, ...others } = this.#shell.checkpointed;
    if (before === undefined && processes.length === 0) return;
    await this.#note({ checkpointed: processes.length === 0 ? others : { ...others, [service]: [...processes] } });
  }

  async promise(untilMs: number): Promise<void> {
    await this.#note({ promisedUntilMs: untilMs });
  }

  async close(): Promise<void> {
    await this.#journal?.close();
  }

  async #note(change: Partial<ShellState>): Promise<void> {
    this.#shell = { ...this.#shell, ...change };
    await this.#append([this.#entry(this.#state, [], [])]);
  }

  #entry(state: ArbiterState, actions: TurnRecord["actions"], decisions: readonly NumberedDecision[]): TurnRecord {
    const places = this.#ports.placesOf(Object.keys(state.holds));
    return { boot: this.#ports.boot, state, shell: { ...this.#shell, places }, actions, decisions };
  }

  async #append(entries: readonly TurnRecord[]): Promise<void> {
    if (this.#journal === undefined) throw new Error("the journal is not open");
    await this.#journal.append(entries);
  }
}
