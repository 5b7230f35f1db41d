import { awaitUntil } from "../awaitUntil.ts";
import { ProcessError } from "../errors.ts";
import { assertMayTouch, sendSignal } from "./signal.ts";
import { hasEnded, readAllStats, readSame, standing } from "./stat.ts";
import type { ProcessId, ProcessStat } from "./stat.ts";

/** The processes below `roots`, themselves included, among `all`; parents before children. Pure. */
export function descendants(all: readonly ProcessStat[], roots: readonly ProcessId[]): readonly ProcessStat[] {
  const children = new Map<number, ProcessStat[]>();
  for (const stat of all) {
    const siblings = children.get(stat.parent);
    if (siblings === undefined) children.set(stat.parent, [stat]);
    else siblings.push(stat);
  }
  const found = new Map<number, ProcessStat>();
  const queue = all.filter((stat) =>
    roots.some((root) => root.pid === stat.pid && root.startTicks === stat.startTicks),
  );
  // A child is younger than its parent: a number in use again further up cannot adopt strangers.
  for (let stat = queue.shift(); stat !== undefined; stat = queue.shift()) {
    if (found.has(stat.pid)) continue;
    found.set(stat.pid, stat);
    for (const child of children.get(stat.pid) ?? []) if (child.startTicks >= stat.startTicks) queue.push(child);
  }
  return [...found.values()];
}

/**
 * A process and its descendants, for a service that lives in no cgroup of ours.
 *
 * It remembers every process that it ever saw in the tree: one whose parent ends is adopted by another, and would be
 * lost to a later walk. One that forked twice and left before the first look is not seen: that is what cgroups are for.
 */
export class ProcessTree {
  readonly #known = new Map<number, ProcessId>();

  /** @throws ProcessError `refused` for a process that nobody may touch */
  constructor(root: ProcessId) {
    assertMayTouch(root);
    this.#known.set(root.pid, root);
  }

  /** The living processes of the tree, parents first; zombies are no longer among them. */
  members(): readonly ProcessStat[] {
    for (const [pid, id] of this.#known) if (readSame(id) === undefined) this.#known.delete(pid);
    const tree = descendants(readAllStats(), [...this.#known.values()]);
    for (const { pid, startTicks } of tree) this.#known.set(pid, { pid, startTicks });
    return tree.filter((stat) => !hasEnded(stat));
  }

  /**
   * Stops the whole tree and returns when each thread of it is stopped and no process is left that was not known.
   * A process can fork in the microseconds before it stops: its child appears in the next walk.
   * @throws ProcessError `deadline` when one would not stop (it sleeps in the kernel); all of them are let go again
   * @throws ProcessError `absent` when none is left
   */
  async stop(deadlineMs: number): Promise<void> {
    const asked = new Set<string>();
    try {
      await awaitUntil(
        () => {
          const members = this.members();
          if (members.length === 0) throw new ProcessError("absent", "no process of the service is left");
          let fresh = false;
          for (const stat of members) {
            const key = `${String(stat.pid)}@${String(stat.startTicks)}`;
            if (asked.has(key)) continue;
            asked.add(key);
            fresh = sendSignal(stat, "SIGSTOP") || fresh;
          }
          return !fresh && standing(members).length === members.length ? true : undefined;
        },
        deadlineMs,
        () => `not every process stopped: ${this.#describe((stat, all) => !standing(all).includes(stat))}`,
      );
    } catch (error) {
      this.#sendAll("SIGCONT");
      throw error;
    }
  }

  /** Lets the whole tree run on; children first, so that a parent finds them as it left them. */
  async cont(deadlineMs: number): Promise<void> {
    this.#sendAll("SIGCONT");
    await awaitUntil(
      () => (this.members().some((stat) => stat.state === "T") ? undefined : true),
      deadlineMs,
      () => `still stopped: ${this.#describe((stat) => stat.state === "T")}`,
    );
  }

  /** SIGTERM to all of them, and SIGCONT, for a stopped process takes no other signal; returns when all have ended. */
  async term(graceMs: number): Promise<void> {
    this.#sendAll("SIGTERM");
    this.#sendAll("SIGCONT");
    await this.#awaitGone(graceMs, "SIGTERM");
  }

  /** SIGKILL until none is left: what is born between two walks is killed in the next. */
  async kill(deadlineMs: number): Promise<void> {
    await awaitUntil(
      () => {
        const members = this.members();
        for (const stat of members) sendSignal(stat, "SIGKILL");
        return members.length === 0 ? true : undefined;
      },
      deadlineMs,
      () => `still there after SIGKILL: ${this.#describe(() => true)}`,
    );
  }

  async #awaitGone(deadlineMs: number, signal: string): Promise<void> {
    await awaitUntil(
      () => (this.members().length === 0 ? true : undefined),
      deadlineMs,
      () => `still there after ${signal}: ${this.#describe(() => true)}`,
    );
  }

  #sendAll(signal: "SIGCONT" | "SIGTERM"): void {
    for (const stat of this.members().toReversed()) sendSignal(stat, signal);
  }

  #describe(which: (stat: ProcessStat, all: readonly ProcessStat[]) => boolean): string {
    const all = this.members();
    const list = all.filter((stat) => which(stat, all));
    const shown = list.slice(0, 8).map(({ pid, name, state }) => `${String(pid)} (${name}, ${state})`);
    return `${shown.join(", ")}${list.length > 8 ? ` and ${String(list.length - 8)} more` : ""}`;
  }
}
