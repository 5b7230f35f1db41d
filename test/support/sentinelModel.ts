/**
 * A small world around the Sentinel's pure core: a disk, a network that loses, doubles and reorders, and runners that
 * keep their side of the contract. Either side can be killed between any two steps.
 */
import { createHash } from "node:crypto";
import type { RunReport } from "../../components/shared/signals/protocol.ts";
import { decide } from "../../runtime-agent/src/sentinel/core/decide.ts";
import type {
  Action,
  Delivery,
  Event,
  KnownKey,
  Outcome,
  Policy,
} from "../../runtime-agent/src/sentinel/core/events.ts";
import { parseLine } from "../../runtime-agent/src/sentinel/core/lines.ts";
import { SentinelState } from "../../runtime-agent/src/sentinel/core/state.ts";
import type { Run } from "../../runtime-agent/src/sentinel/core/types.ts";

export const policy: Policy = {
  leaseMs: 75_000,
  heartbeatMs: 20_000,
  registerWithinMs: 30 * 60_000,
  graceMs: 10 * 60_000,
  firstMs: 1000,
  mostMs: 60_000,
  attempts: 1000,
  askAfterMs: 120_000,
  mostWaiting: 1000,
  mostWaitingBytes: 1024 * 1024,
  historyRuns: 3,
  historyMs: 3_600_000,
  keyMs: 30 * 86_400_000,
  mostKeys: 10_000,
};

export function reportOf(runId: string, state: RunReport["state"]): RunReport {
  const none = { exit: null, oomKills: 0, startedMs: null, endedMs: null, reason: null, result: null, logTail: "" };
  return { runId, state, attempts: 1, ...none };
}

interface RunnerRun {
  readonly runId: string;
  sec: number;
  state: "queued" | "running" | "completed" | "interrupted";
  delivered: boolean;
}

type Message =
  | { readonly to: "runner"; readonly life: number; readonly run: Run; lost: boolean }
  | { readonly to: "sentinel"; readonly event: Event; readonly then?: () => void };

export interface Model {
  /** Answers that somebody heard to a signal, by key. */
  readonly heard: ReadonlyMap<string, ReadonlySet<string>>;
  /** How often each run was begun, and begun after it was completed on the same server. */
  readonly begun: ReadonlyMap<string, number>;
  readonly begunAfterEnd: number;
  /** Run ids in the order in which a runner took them for the first time. */
  readonly taken: readonly string[];
  readonly state: () => SentinelState;
  /** What became of a key: an end, `dead`, or undefined where it is still under way. */
  endOf(key: string): string | undefined;
  signal(key: string): void;
  /** One step of the world, picked by a number. */
  step(choice: number): void;
  /** Steps without faults until nothing moves any more. */
  settle(): void;
}

export function createModel(idempotent: boolean): Model {
  let nowMs = 1_700_000_000_000;
  let state = new SentinelState();
  const disk: string[] = [];
  const store = new Map<string, KnownKey>();
  let pending: { readonly event: Event; readonly outcome: Outcome }[] = [];
  let network: Message[] = [];
  let life = 0;
  /** What the server of the present life has on its disk. */
  let runner = new Map<string, RunnerRun>();
  let instance = "";
  let key = "";
  let ids = 0;
  const heard = new Map<string, Set<string>>();
  const begun = new Map<string, number>();
  const taken: string[] = [];
  const endings = new Map<string, string>();
  let begunAfterEnd = 0;

  const hex = (length: number): string =>
    createHash("sha256")
      .update(String((ids += 1)))
      .digest("hex")
      .slice(0, length);

  function take(event: Event): void {
    const outcome = decide(state, event, { monotonicMs: nowMs, wallMs: nowMs, random: () => 0.5 }, policy);
    pending.push({ event, outcome });
  }

  function write(lines: Outcome["lines"]): void {
    for (const line of lines) disk.push(JSON.stringify(line));
  }

  function act(action: Action): void {
    if (action.kind === "deliver")
      network.push({ to: "runner", life: action.agent.life, run: action.run, lost: false });
    else if (action.kind === "ask") {
      const known = action.agent.life === life ? runner.get(state.runs.get(action.runId)?.key ?? "") : undefined;
      const none = { kind: action.agent.life === life ? "no-such-run" : "nothing" } as const;
      const answer =
        known === undefined
          ? none
          : ({ kind: "report", report: reportOf(known.runId, known.state), body: undefined } as const);
      network.push({ to: "sentinel", event: { kind: "asked", runId: action.runId, life: action.agent.life, answer } });
    } else if (action.kind === "forget") {
      for (const { agent, key, runId, digest, end } of action.runs)
        store.set(`${agent}\n${key}`, { runId, digest: digest.slice(0, 24), state: end?.state ?? "failed" });
      const runIds = action.runs.map(({ runId }) => runId);
      network.push({ to: "sentinel", event: { kind: "forgotten", runIds } });
    }
  }

  /** The oldest decision reaches the disk; then, and only then, it is let out. */
  function flush(): void {
    const [first] = pending;
    if (first === undefined) return;
    pending = pending.slice(1);
    const { event, outcome } = first;
    write(outcome.lines);
    for (const line of outcome.lines)
      if (line.kind === "step" && line.step.end !== undefined) {
        endings.set(line.runId, line.step.end.state);
        state.shed(line.runId);
      }
    if (event.kind === "signal") {
      const { runId } = outcome.reply.json;
      const { key } = event.signal;
      if (typeof runId === "string") heard.set(key, (heard.get(key) ?? new Set()).add(runId));
    }
    if (event.kind === "result" && outcome.reply.status === 204)
      for (const run of runner.values()) if (run.runId === event.report.runId) run.delivered = true;
    outcome.actions.forEach(act);
  }

  function killSentinel(): void {
    pending = [];
    // Answers on their way find nobody; signals on their way arrive.
    network = network.filter(({ to }) => to === "runner");
    state = new SentinelState();
    for (const text of disk) {
      const line = parseLine(JSON.parse(text));
      if (line === undefined) throw new Error(`a line that cannot be read back: ${text}`);
      state.apply(line);
    }
    for (const id of state.ended()) state.shed(id);
    for (const { name, registered } of state.agents.values())
      if (registered !== undefined) state.heard.set(name, { atMs: nowMs });
  }

  /** As the journal does at a new segment: what the state holds now heads it, and what is pending still follows. */
  function compact(): void {
    const lines = state.lines();
    disk.length = 0;
    write(lines);
  }

  function killRunner(): void {
    for (const run of runner.values()) if (run.state === "running") run.state = idempotent ? "queued" : "interrupted";
  }

  function answer(message: Extract<Message, { to: "runner" }>): Delivery {
    const { run } = message;
    if (message.life !== life || instance === "") return { kind: "later", reason: "no such server" };
    const known = runner.get(run.key);
    if (known !== undefined) {
      if (run.sentSec <= known.sec) return { kind: "unknown", reason: "a replay" };
      known.sec = run.sentSec;
      if (known.runId !== run.runId) throw new Error(`two run ids for ${run.key}`);
      return { kind: "taken", report: reportOf(known.runId, known.state), body: undefined };
    }
    runner.set(run.key, { runId: run.runId, sec: run.sentSec, state: "queued", delivered: false });
    taken.push(run.runId);
    return { kind: "taken", report: reportOf(run.runId, "queued"), body: undefined };
  }

  function arrive(message: Message | undefined, keep: boolean): void {
    if (message === undefined) return;
    if (!keep) network = network.filter((one) => one !== message);
    if (message.to === "sentinel") return take(message.event);
    const { run } = message;
    const outcome = answer(message);
    const said: Delivery = message.lost || keep ? { kind: "unknown", reason: "no answer" } : outcome;
    // A copy that the network made is answered to nobody.
    if (!keep)
      network.push({
        to: "sentinel",
        event: { kind: "delivered", runId: run.runId, sentSec: run.sentSec, life: message.life, outcome: said },
      });
  }

  function work(): void {
    const runs = [...runner.values()];
    const running = runs.find((run) => run.state === "running");
    if (running !== undefined) {
      running.state = "completed";
      return;
    }
    const next = runs.find((run) => run.state === "queued");
    if (next === undefined) return;
    next.state = "running";
    begun.set(next.runId, (begun.get(next.runId) ?? 0) + 1);
    if (endings.get(next.runId) === "completed") begunAfterEnd += 1;
  }

  function results(): void {
    for (const run of runner.values())
      if ((run.state === "completed" || run.state === "interrupted") && !run.delivered)
        network.push({
          to: "sentinel",
          event: { kind: "result", name: "ghost", life, report: reportOf(run.runId, run.state), body: undefined },
        });
  }

  function beat(): void {
    const agent = state.agents.get("ghost");
    if (agent === undefined) return;
    const registration = {
      ...{ instance, address: { host: "127.0.0.1", port: 8943 }, mode: "job" as const, idempotent, version: "1" },
    };
    if (agent.registered === undefined || agent.life !== life)
      return take({ kind: "register", name: "ghost", key, registration });
    const heartbeat = { instance, ready: true, running: null, queued: 0, crashLoop: false };
    take({ kind: "heartbeat", name: "ghost", heartbeat });
  }

  /** Another server takes the present one's place, which has said farewell or just went. */
  function newServer(isPolite: boolean): void {
    const older = { key, instance };
    key = hex(64);
    take({ kind: "mint", name: "ghost", key });
    while (pending.length > 0) flush();
    if (isPolite) {
      const farewell = { instance: older.instance, reason: "destroyed" } as const;
      take({ kind: "farewell", name: "ghost", key: older.key, farewell });
      while (pending.length > 0) flush();
    }
    const { life: lives = 0, pending: next } = state.agents.get("ghost") ?? {};
    life = lives + (next === undefined ? 0 : 1);
    runner = new Map();
    instance = hex(32);
  }

  function pass(ms: number): void {
    nowMs += ms;
    take({ kind: "tick", handOver: false });
  }

  key = hex(64);
  take({
    kind: "new",
    key,
    id: hex(32),
    agent: { name: "ghost", kind: "browser-light", size: "S", mode: "job", idempotent, ttlMs: 365 * 86_400_000 },
  });
  flush();
  life = 1;
  instance = hex(32);
  beat();
  flush();

  const at = (choice: number): Message | undefined => network[choice % Math.max(1, network.length)];
  const steps: readonly ((choice: number) => void)[] = [
    flush,
    flush,
    flush,
    (choice) => arrive(at(choice), false),
    (choice) => arrive(at(choice), false),
    (choice) => arrive(at(choice), true),
    (choice) => {
      const message = at(choice);
      if (message?.to === "runner") message.lost = true;
      else if (message?.event.kind === "result") network = network.filter((one) => one !== message);
    },
    work,
    work,
    results,
    beat,
    () => pass(1500),
    () => pass(130_000),
    killSentinel,
    compact,
    killRunner,
    (choice) => (choice % 4 === 0 ? newServer(choice % 8 === 0) : undefined),
  ];

  return {
    heard,
    begun,
    get begunAfterEnd() {
      return begunAfterEnd;
    },
    taken,
    state: () => state,
    endOf(key) {
      const known = store.get(`ghost\n${key}`);
      const run = state.runOf("ghost", key);
      return run?.end?.state ?? (run?.phase === "dead" ? "dead" : known?.state);
    },
    signal(key) {
      const signal = {
        ...{ agent: "ghost", key, digest: createHash("sha256").update(key).digest("hex"), runId: `run_${hex(32)}` },
        ...{ payload: { bytes: 2, json: "{}" }, known: store.get(`ghost\n${key}`), keys: store.size },
      };
      take({ kind: "signal", signal });
    },
    step(choice) {
      steps[choice % steps.length]?.(Math.floor(choice / steps.length));
    },
    settle() {
      for (let round = 0; round < 400; round += 1) {
        while (pending.length > 0) flush();
        work();
        beat();
        results();
        for (const message of [...network]) arrive(message, false);
        pass(70_000);
      }
      while (pending.length > 0) flush();
    },
  };
}
