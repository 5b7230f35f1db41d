/** The Sentinel's state: what the journal says, with the indexes that make looking it up cheap, and what is only known now. */
import type { JSONType } from "zod";
import type { AgentRecord, Body, Heard, Line, Run } from "./types.ts";

/** What a run weighs while its payload is kept, bytes. */
function payloadBytes(run: Run | undefined): number {
  return run?.payload?.bytes ?? 0;
}

/** Whether a run still needs somebody: these are bounded. */
export function isOpen(run: Run): boolean {
  return run.phase === "waiting" || run.phase === "dead";
}

export class SentinelState {
  readonly agents = new Map<string, AgentRecord>();
  readonly runs = new Map<string, Run>();
  /** What extensions asked to be kept, by their names. */
  readonly kept = new Map<string, JSONType>();
  /** Runs that wait or are dead, and their payloads together. */
  open = 0;
  openBytes = 0;

  /** By the monotonic clock, and gone with this process. */
  readonly heard = new Map<string, Heard>();
  /** The run that is being delivered to an agent. */
  readonly flights = new Map<string, string>();
  /** The run that an agent is being asked for. */
  readonly questions = new Map<string, string>();
  /** Not to be tried or asked for before, by run. */
  readonly due = new Map<string, number>();
  /** Being written into the store of keys. */
  readonly forgetting = new Set<string>();

  readonly #byKey = new Map<string, string>();
  /** Ids of an agent's waiting runs, first in line first. */
  readonly #waiting = new Map<string, string[]>();
  readonly #handed = new Map<string, Set<string>>();
  /** Ended runs, the oldest end first. */
  readonly #ended = new Set<string>();
  #nextOrder = 1;

  /** Place at the end of every line. */
  get nextOrder(): number {
    return this.#nextOrder;
  }

  runOf(agent: string, key: string): Run | undefined {
    return this.runs.get(this.#byKey.get(`${agent}\n${key}`) ?? "");
  }

  /** The first in an agent's line. */
  head(agent: string): Run | undefined {
    return this.runs.get(this.#waiting.get(agent)?.[0] ?? "");
  }

  handed(agent: string): Iterable<string> {
    return this.#handed.get(agent) ?? [];
  }

  get endedCount(): number {
    return this.#ended.size;
  }

  ended(): Iterable<string> {
    return this.#ended;
  }

  runsOf(agent: string): Run[] {
    return [...this.runs.values()].filter((run) => run.agent === agent).toSorted((a, b) => a.order - b.order);
  }

  /** Takes a line in, whether it was just decided or is read back. Reading one twice does no harm. */
  apply(line: Line): void {
    switch (line.kind) {
      case "agent":
        this.agents.set(line.agent.name, line.agent);
        break;
      case "agent-gone":
        this.agents.delete(line.name);
        this.heard.delete(line.name);
        break;
      case "run":
        this.#put(line.run);
        break;
      case "step": {
        const run = this.runs.get(line.runId);
        if (run !== undefined) this.#put({ ...run, ...line.step });
        break;
      }
      case "run-gone":
        this.#drop(line.runId);
        break;
      case "kept":
        this.kept.set(line.extension, line.value);
        break;
    }
  }

  /** Everything that the journal must say for a reader that has no older line. */
  lines(): Line[] {
    return [
      ...[...this.agents.values()].map((agent) => ({ kind: "agent" as const, agent })),
      // Ended runs in the order of their ends, as they are to be forgotten.
      ...[...this.runs.values()].filter(({ phase }) => phase !== "ended").map((run) => ({ kind: "run" as const, run })),
      ...[...this.#ended].flatMap((id) => {
        const run = this.runs.get(id);
        return run === undefined ? [] : [{ kind: "run" as const, run }];
      }),
      ...[...this.kept].map(([extension, value]) => ({ kind: "kept" as const, extension, value })),
    ];
  }

  /**
   * Lets go of an ended run's payload, once its end is on the disk: a snapshot before that could else hold a run that has
   * neither. Gives the payload.
   */
  shed(runId: string): Body | undefined {
    const run = this.runs.get(runId);
    if (run?.phase !== "ended" || run.payload === undefined) return undefined;
    const { payload, ...bare } = run;
    this.runs.set(runId, bare);
    return payload;
  }

  #put(run: Run): void {
    this.#leave(this.runs.get(run.runId));
    this.runs.set(run.runId, run);
    this.#byKey.set(`${run.agent}\n${run.key}`, run.runId);
    this.#nextOrder = Math.max(this.#nextOrder, run.order + 1);
    if (isOpen(run)) {
      this.open += 1;
      this.openBytes += payloadBytes(run);
    }
    if (run.phase === "waiting") this.#queue(run);
    else if (run.phase === "handed") {
      const handed = this.#handed.get(run.agent) ?? new Set();
      this.#handed.set(run.agent, handed.add(run.runId));
    } else if (run.phase === "ended") this.#ended.add(run.runId);
    if (run.phase !== "waiting" && run.phase !== "handed") this.due.delete(run.runId);
  }

  #queue(run: Run): void {
    const line = this.#waiting.get(run.agent) ?? [];
    this.#waiting.set(run.agent, line);
    let at = line.length;
    // Nearly always the last; a run that comes back goes before those that came after it.
    while (at > 0 && (this.runs.get(line[at - 1] ?? "")?.order ?? 0) > run.order) at -= 1;
    line.splice(at, 0, run.runId);
  }

  /** Takes a run out of the indexes that its phase put it in. */
  #leave(run: Run | undefined): void {
    if (run === undefined) return;
    if (isOpen(run)) {
      this.open -= 1;
      this.openBytes -= payloadBytes(run);
    }
    if (run.phase === "waiting") {
      const line = this.#waiting.get(run.agent) ?? [];
      const at = line.indexOf(run.runId);
      if (at >= 0) line.splice(at, 1);
      if (line.length === 0) this.#waiting.delete(run.agent);
    } else if (run.phase === "handed") {
      const handed = this.#handed.get(run.agent);
      handed?.delete(run.runId);
      if (handed?.size === 0) this.#handed.delete(run.agent);
    } else if (run.phase === "ended") this.#ended.delete(run.runId);
  }

  #drop(runId: string): void {
    const run = this.runs.get(runId);
    if (run === undefined) return;
    this.#leave(run);
    this.runs.delete(runId);
    this.#byKey.delete(`${run.agent}\n${run.key}`);
    this.due.delete(runId);
    this.forgetting.delete(runId);
  }
}
